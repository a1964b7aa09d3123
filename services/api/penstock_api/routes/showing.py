"""GET /api/v1/inference/{id}: what becomes of a request, for many who ask again and again."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from starlette.types import Receive, Scope, Send

from penstock_api.domain.keys import Scope as KeyScope
from penstock_api.ports.generations import Lookup
from penstock_api.ports.keys import Authenticator
from penstock_api.routes.body import header
from penstock_api.routes.edge import refused
from penstock_api.routes.inference_shapes import view_of
from penstock_api.routes.reply import tell


@dataclass(frozen=True, slots=True)
class ShowingRoute:
    """The route as an ASGI application of its own. FastAPI has it, too: for its document, and for odd ids."""

    keys: Authenticator
    lookup: Lookup
    method: ClassVar[str] = "GET"
    path: ClassVar[str] = "/api/v1/inference/{id}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            key = self.keys.authenticate(header(scope, b"authorization"))
            key.require(KeyScope.CHAT)
            known = await self.lookup.find(key.tenant, UUID(scope["path"][-36:]))
        except Exception as error:
            await refused(scope, receive, send, error)
            return
        await tell(scope, 200, view_of(known).model_dump_json().encode())
