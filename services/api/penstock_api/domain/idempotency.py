"""Idempotency keys: the client's own name for a request, so that asking again is not asking twice."""

import re

from penstock_api.domain.errors import InvalidRequest
from penstock_common.errors import Fault, PenstockError

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class IdempotencyKeyReused(PenstockError):
    """This Idempotency-Key came with another request before; use a new key for a new request."""

    code = "api.idempotency_key_reused"
    fault = Fault.CONFLICT


def idempotency_key_of(value: str | None) -> str:
    """The key that a request carries, empty for none. Raises InvalidRequest."""
    if value is None:
        return ""
    if not _KEY.fullmatch(value):
        raise InvalidRequest(f"The header {HEADER} is 1 to 255 visible ASCII characters.", HEADER)
    return value
