"""Who asks: the key behind a request, before anything else of it is looked at."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from penstock_api.domain.keys import Key, Scope
from penstock_api.ports.keys import Authenticator

SCHEME = "ApiKey"
# Declares the scheme in OpenAPI; the header is read by the port, whose errors say more.
_scheme = HTTPBearer(
    scheme_name=SCHEME, bearerFormat="psk-…", description="An API key: `Bearer psk-…`.", auto_error=False
)


def authenticated(keys: Authenticator, scope: Scope | None = None) -> Callable[..., Awaitable[Key]]:
    """A dependency that gives the key. Raises the errors of a key, ScopeMissing where it lacks the scope."""

    async def key(request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(_scheme)] = None) -> Key:
        found = keys.authenticate(request.headers.get("authorization"))
        if scope is not None:
            found.require(scope)
        return found

    return key
