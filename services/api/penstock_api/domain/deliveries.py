"""Whether a delivery comes from who it says, and what of it a run is given."""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from penstock_api.domain.errors import InvalidRequest
from penstock_api.domain.hooks import DeliveryIdMissing, DeliveryRefused, Encoding, Scheme, Signing
from penstock_common import standard_webhooks
from penstock_common.contracts.runs import DEPTH_HEADER

MAX_BYTES = 1_000_000
TOLERANCE = 300.0  # seconds between the sender's clock and ours, by the specification of Standard Webhooks
LONGEST_ID = 200
LONGEST_DEPTH = 4  # digits
SIGNATURES = 20
"""Signatures of one delivery that are looked at: a sender that rotates sends two."""
PASSED_ON = ("content-type", "x-github-event", "webhook-id", "webhook-timestamp")

Headers = Mapping[str, str]
"""By name in lower case."""


def check_signature(signing: Signing, keys: Sequence[bytes], headers: Headers, body: bytes, now: datetime) -> None:
    """Raises DeliveryRefused, whatever was wrong."""
    verify = _is_standard if signing.scheme is Scheme.STANDARD else _is_plain
    if not any(verify(signing, key, headers, body) for key in keys):
        raise DeliveryRefused
    if signing.scheme is Scheme.STANDARD and abs(now.timestamp() - _timestamp(headers)) > TOLERANCE:
        raise DeliveryRefused


def delivery_id_of(signing: Signing, headers: Headers) -> str:
    """The sender's name for a delivery, the same when it is repeated. Raises DeliveryIdMissing, InvalidRequest."""
    name = "webhook-id" if signing.scheme is Scheme.STANDARD else signing.delivery_header
    id_ = headers.get(name, "")
    if not id_:
        raise DeliveryIdMissing(f"The header {name} is missing: the delivery's id, by which a repetition is known.")
    if len(id_) > LONGEST_ID or not id_.isascii() or not id_.isprintable():
        raise InvalidRequest(f"The header {name} must be at most {LONGEST_ID} printable ASCII characters.", name)
    return id_


def depth_of(value: str | None) -> int:
    """How many runs stand above the one to be started, from its header. Raises InvalidRequest."""
    if not value:
        return 0
    if not (value.isascii() and value.isdigit()) or len(value) > LONGEST_DEPTH:
        raise InvalidRequest(f"The header {DEPTH_HEADER} must be a small number.", DEPTH_HEADER)
    return int(value)


def input_of(headers: Headers, body: bytes) -> dict[str, Any]:
    """What a run is given: the headers that say what the delivery is, and its body as JSON or text."""
    return {"headers": {name: headers[name] for name in PASSED_ON if name in headers}, "body": _read(body)}


def _read(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace")


def _is_standard(_: Signing, key: bytes, headers: Headers, body: bytes) -> bool:
    """Standard Webhooks 1.0: several signatures, each with its version."""
    digest = standard_webhooks.digest(key, headers.get("webhook-id", ""), headers.get("webhook-timestamp", ""), body)
    given = headers.get("webhook-signature", "").split(" ")[:SIGNATURES]
    return any(hmac.compare_digest(digest, _decoded(s.removeprefix("v1,"))) for s in given if s.startswith("v1,"))


def _is_plain(signing: Signing, key: bytes, headers: Headers, body: bytes) -> bool:
    digest = hmac.digest(key, body, "sha256")  # first: how long a refusal takes shows nothing of the webhook
    given = headers.get(signing.signature_header, "")
    text = given.removeprefix(signing.prefix)
    return given.startswith(signing.prefix) and hmac.compare_digest(digest, _decoded(text, signing.encoding))


def _decoded(text: str, encoding: Encoding = Encoding.BASE64) -> bytes:
    try:
        return bytes.fromhex(text) if encoding is Encoding.HEX else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _timestamp(headers: Headers) -> float:
    value = headers.get("webhook-timestamp", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 15 else 0.0
