"""Webhooks that start runs: what one is, and what its secret looks like."""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from penstock_api.domain.errors import InvalidRequest
from penstock_common.errors import Fault, PenstockError

MOST = 100
"""Webhooks of one tenant."""
HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,100}")  # a field name of RFC 9110, in lower case
STANDARD_PREFIX = "whsec_"
STANDARD_BYTES = range(16, 65)  # Standard Webhooks wants 24 to 64, and its own examples have 18
GENERATED_BYTES = 32
PLAIN_SECRET = re.compile(r"[\x21-\x7e]{16,256}")
LONGEST_OVERLAP = timedelta(days=7)


class Scheme(StrEnum):
    """How a delivery is signed."""

    STANDARD = "standard-webhooks"
    HMAC = "hmac-sha256"


class Encoding(StrEnum):
    """How the bytes of a plain HMAC are written."""

    HEX = "hex"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True)
class Signing:
    """Where a delivery carries its signature and its id. Standard Webhooks fixes all but the scheme."""

    scheme: Scheme
    signature_header: str = "x-hub-signature-256"
    prefix: str = "sha256="
    delivery_header: str = "x-github-delivery"
    encoding: Encoding = Encoding.HEX


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A webhook as the platform knows it, its secret apart."""

    id: UUID
    tenant: UUID
    key_id: UUID
    name: str
    task: str
    signing: Signing
    created_at: datetime
    rotated_at: datetime | None
    previous_until: datetime | None
    """Until then the secret before the last rotation is good as well."""


class HookNotFound(PenstockError):
    """This project has no such webhook."""

    code = "api.hook_not_found"
    fault = Fault.MISSING


class TooManyHooks(PenstockError):
    """This project has 100 webhooks already; remove some of them."""

    code = "api.too_many_hooks"
    fault = Fault.CONFLICT


class DeliveryRefused(PenstockError):
    """There is no such webhook, or the delivery is not signed by its secret, or too old."""

    code = "api.delivery_refused"
    fault = Fault.UNAUTHENTICATED


class DeliveryIdMissing(PenstockError):
    """The delivery carries no id of its own, by which a repetition could be told from a new one."""

    code = "api.delivery_id_missing"
    fault = Fault.INVALID


def check_signing(signing: Signing) -> None:
    """Raises InvalidRequest, naming the field."""
    for field in ("signature_header", "delivery_header"):
        if not HEADER.fullmatch(getattr(signing, field)):
            raise InvalidRequest(f"`{field}` must be the name of a header, in lower case.", field)


def secret_of(scheme: Scheme, entropy: bytes) -> str:
    """A new secret, in the form that the scheme's senders take."""
    if scheme is Scheme.STANDARD:
        return STANDARD_PREFIX + base64.b64encode(entropy).decode()
    return base64.urlsafe_b64encode(entropy).rstrip(b"=").decode()


def key_of(scheme: Scheme, secret: str) -> bytes:
    """The bytes that sign. Raises InvalidRequest where it can't be a secret of the scheme."""
    if scheme is Scheme.HMAC:
        if not PLAIN_SECRET.fullmatch(secret):
            raise InvalidRequest("`secret` must be 16 to 256 printable ASCII characters without spaces.", "secret")
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(STANDARD_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(STANDARD_PREFIX) or len(key) not in STANDARD_BYTES:
        raise InvalidRequest(f"`secret` must be {STANDARD_PREFIX} and the base64 of 16 to 64 bytes.", "secret")
    return key
