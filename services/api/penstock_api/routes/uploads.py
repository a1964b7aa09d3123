"""Documents in a request's body: one as it is, or several as a form."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from penstock_api.domain.errors import InvalidRequest
from penstock_api.domain.media_types import media_type_of
from penstock_api.ports.bases import Upload
from penstock_api.routes.body import MAX_BYTES, read_body

FORM = "multipart/form-data"
MAX_FILES = 100
MAX_NAME = 255  # characters
UNNAMED = "document"
EXAMPLE = "# Leave\n\nEmployees have thirty days of paid holiday a year."

DOCUMENTED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One document as it is, named by `?name=`; or several as the files of a form. At most 6 MB.",
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "additionalProperties": {"type": "string", "format": "binary"},
                    "example": {"leave.md": EXAMPLE},
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary", "example": EXAMPLE}},
        },
    }
}


class InMemoryParser(MultiPartParser):
    """Never spools to a file: a document rests nowhere but sealed."""

    spool_max_size = MAX_BYTES + 1


async def uploads(request: Request) -> list[Upload]:
    """A dependency that gives the documents.

    Raises BodyTooLarge, BodyTooSlow, InvalidRequest, DocumentEmpty, DocumentTypeUnsupported.
    """
    body = await read_body(request.scope, request.receive)
    if request.headers.get("content-type", "").lower().startswith(FORM):
        named = await _files(request.headers, body)
    else:
        named = [(request.query_params.get("name", ""), body)]
    return [_upload(name, content) for name, content in named]


def _upload(name: str, content: bytes) -> Upload:
    plain = "".join(c for c in name.replace("\\", "/").rpartition("/")[2] if c.isprintable())[:MAX_NAME] or UNNAMED
    return Upload(plain, media_type_of(content, plain), content)


async def _files(headers: Headers, body: bytes) -> list[tuple[str, bytes]]:
    async def whole() -> AsyncIterator[bytes]:
        yield body

    parser = InMemoryParser(headers, whole(), max_files=MAX_FILES, max_fields=MAX_FILES)  # type: ignore[arg-type]
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidRequest(f"The form can't be read: {error.message}") from error
    except (KeyError, ValueError, UnicodeError) as error:
        raise InvalidRequest("The form can't be read: its header or one of its parts is malformed.") from error
    files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
    if not files:
        raise InvalidRequest("The form holds no file; send documents as file parts.")
    return [(file.filename or "", await file.read()) for file in files]
