"""`/api/v1/knowledge-bases`: bases, and searching them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query

from penstock_api.domain.bases import BaseNotFound, check_embedder
from penstock_api.domain.errors import InvalidRequest, ModelNotFound
from penstock_api.domain.keys import Key, Scope
from penstock_api.ports.bases import KnowledgeBases
from penstock_api.ports.catalogue import Models
from penstock_api.ports.keys import Authenticator
from penstock_api.routes.authentication import authenticated
from penstock_api.routes.bases_shown import BasePage, BaseView, BaseWanted, ChunkPage, ChunkView, SearchWanted
from penstock_api.routes.documents import problems
from penstock_api.routes.json_body import documented, json_body
from penstock_common.contracts.documents import ReadBases, RemoveBase, SaveBase, SearchChunks
from penstock_common.ids import uuid7

PREFIX = "/api/v1/knowledge-bases"
BaseId = Annotated[UUID, Path(alias="id")]
After = Annotated[UUID | None, Query(description="Those made after the one of this id.")]
Limit = Annotated[int, Query(ge=1, le=1000)]


def bases_router(authenticator: Authenticator, models: Models, bases: KnowledgeBases) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PREFIX, tags=["knowledge bases"])
    Reader = Annotated[Key, Depends(authenticated(authenticator, Scope.KNOWLEDGE_READ))]
    Writer = Annotated[Key, Depends(authenticated(authenticator, Scope.KNOWLEDGE_WRITE))]

    @router.post(
        "", status_code=201, responses=problems(401, 403, 404, 413, 422, 503), openapi_extra=documented(BaseWanted)
    )
    async def make_base(caller: Writer, wanted: Annotated[BaseWanted, Depends(json_body(BaseWanted))]) -> BaseView:
        """Make a knowledge base."""
        _check(wanted, models)
        command = SaveBase(base_id=uuid7(), tenant=caller.tenant, key_id=caller.id, **wanted.model_dump())
        return BaseView.of(await bases.make(command))

    @router.get("", responses=problems(401, 403, 422, 503, 504))
    async def list_bases(caller: Reader, after: After = None, limit: Limit = 100) -> BasePage:
        """The knowledge bases of the caller's project, the oldest first."""
        shown = await bases.bases(ReadBases(tenant=caller.tenant, after=after, limit=limit))
        return BasePage(knowledge_bases=[BaseView.of(base) for base in shown])

    @router.get("/{id}", responses=problems(401, 403, 404, 422, 503, 504))
    async def show_base(caller: Reader, id_: BaseId) -> BaseView:
        """One knowledge base."""
        return await found_base(bases, caller, id_)

    @router.delete("/{id}", status_code=202, responses=problems(401, 403, 404, 422, 503, 504))
    async def remove_base(caller: Writer, id_: BaseId) -> BaseView:
        """Remove a knowledge base with its documents, their contents, chunks and vectors, within seconds."""
        shown = await found_base(bases, caller, id_)
        await bases.order(RemoveBase(base_id=id_, tenant=caller.tenant))
        return shown

    @router.post(
        "/{id}/search", responses=problems(401, 403, 404, 413, 422, 503, 504), openapi_extra=documented(SearchWanted)
    )
    async def search_base(
        caller: Reader, id_: BaseId, wanted: Annotated[SearchWanted, Depends(json_body(SearchWanted))]
    ) -> ChunkPage:
        """The chunks that answer a question best, with the document and the place where they stand."""
        question = SearchChunks(
            base_id=id_,
            tenant=caller.tenant,
            key_id=caller.id,
            text=wanted.query,
            **wanted.model_dump(exclude={"query"}),
        )
        return ChunkPage(chunks=[ChunkView.of(chunk) for chunk in await bases.search(question)])

    return router


async def found_base(bases: KnowledgeBases, caller: Key, base_id: UUID) -> BaseView:
    """The base, if it is the caller's. Raises BaseNotFound."""
    shown = await bases.bases(ReadBases(tenant=caller.tenant, base_id=base_id))
    if not shown:
        raise BaseNotFound
    return BaseView.of(shown[0])


def _check(wanted: BaseWanted, models: Models) -> None:
    """Raises InvalidRequest, ModelNotFound, NotAnEmbedder."""
    if wanted.overlap_characters * 2 > wanted.chunk_characters:
        raise InvalidRequest("`overlap_characters` must be at most half of `chunk_characters`.", "overlap_characters")
    model = models.resolve(wanted.model)
    if model is None:
        raise ModelNotFound(f"The model {wanted.model!r} does not exist; GET /v1/models lists those that do.")
    check_embedder(model)
