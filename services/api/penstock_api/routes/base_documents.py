"""`/api/v1/knowledge-bases/{id}/documents`: what is in a base."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query

from penstock_api.domain.bases import DocumentNotFailed, DocumentNotFound
from penstock_api.domain.keys import Key, Scope
from penstock_api.ports.bases import KnowledgeBases, Upload
from penstock_api.ports.keys import Authenticator
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.bases import PREFIX, After, BaseId, Limit, found_base
from penstock_api.routes.bases_shown import DocumentPage, DocumentView
from penstock_api.routes.documents import Responses, problems
from penstock_api.routes.uploads import DOCUMENTED, MAX_NAME, uploads
from penstock_common.contracts.documents import DocumentState, ReadDocuments, RemoveDocument, RetryDocument

DocumentId = Annotated[UUID, Path(alias="document")]


def base_documents_router(authenticator: Authenticator, bases: KnowledgeBases) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=f"{PREFIX}/{{id}}/documents", tags=["knowledge bases"])
    Reader = Annotated[Key, Depends(authenticated(authenticator, Scope.KNOWLEDGE_READ))]
    Writer = Annotated[Key, Depends(authenticated(authenticator, Scope.KNOWLEDGE_WRITE))]

    @router.post("", status_code=202, responses=_upload_problems(), openapi_extra=DOCUMENTED)
    async def add_documents(
        caller: Writer,
        id_: BaseId,
        given: Annotated[list[Upload], Depends(uploads)],
        name: Annotated[str, Query(max_length=MAX_NAME, description="Of a document sent as it is.")] = "",
    ) -> DocumentPage:
        """Upload documents. Once this is answered they will be indexed, or say why they can't be."""
        await found_base(bases, caller, id_)
        return DocumentPage(documents=[DocumentView.of(shown) for shown in await bases.add(id_, caller, given)])

    @router.get("", responses=problems(401, 403, 404, 422, 503, 504))
    async def list_documents(
        caller: Reader, id_: BaseId, state: DocumentState | None = None, after: After = None, limit: Limit = 100
    ) -> DocumentPage:
        """The documents of a knowledge base, the oldest first."""
        await found_base(bases, caller, id_)
        question = ReadDocuments(tenant=caller.tenant, base_id=id_, after=after, limit=limit, state=state)
        return DocumentPage(documents=[DocumentView.of(shown) for shown in await bases.documents(question)])

    @router.get("/{document}", responses=problems(401, 403, 404, 422, 503, 504))
    async def show_document(caller: Reader, id_: BaseId, document: DocumentId) -> DocumentView:
        """One document, with its state and what went wrong."""
        return await _found(caller, id_, document)

    @router.delete("/{document}", status_code=202, responses=problems(401, 403, 404, 422, 503, 504))
    async def remove_document(caller: Writer, id_: BaseId, document: DocumentId) -> DocumentView:
        """Remove a document with its content, chunks and vectors; within a second no search finds it."""
        shown = await _found(caller, id_, document)
        await bases.order(RemoveDocument(document_id=document, base_id=id_, tenant=caller.tenant))
        return shown

    @router.post("/{document}/retry", status_code=202, responses=problems(401, 403, 404, 409, 422, 503, 504))
    async def retry_document(caller: Writer, id_: BaseId, document: DocumentId) -> DocumentView:
        """Try a failed document again."""
        shown = await _found(caller, id_, document)
        if shown.state is not DocumentState.FAILED:
            raise DocumentNotFailed(f"The document is {shown.state.value}; only a failed one can be tried again.")
        await bases.order(RetryDocument(document_id=document, base_id=id_, tenant=caller.tenant))
        return shown

    async def _found(caller: Key, base_id: UUID, document_id: UUID) -> DocumentView:
        question = ReadDocuments(tenant=caller.tenant, base_id=base_id, document_id=document_id)
        found = await bases.documents(question)
        if not found:
            raise DocumentNotFound
        return DocumentView.of(found[0])

    return router


def _upload_problems() -> Responses:
    responses = problems(401, 403, 404, 413, 422, 503, 504)
    responses[413]["description"] = "The body is larger than 6 MB."
    return responses
