"""URLs that are posted to when a request has ended: what one is, and what comes of a post."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from penstock_api.domain.errors import InvalidRequest
from penstock_api.domain.hooks import Scheme, key_of
from penstock_common.errors import Fault, PenstockError

LONGEST_URL = 2_000
LONGEST_SECRET = 100
KEY_BYTES = range(24, 65)  # by the specification of Standard Webhooks
PAUSES = (5.0, 30.0, 120.0, 600.0, 3_600.0, 21_600.0)
"""Seconds after the first, second, … post that was not answered with 2xx; after one more it is given up."""
GONE = 410


class Callback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a client hears of a request's end, and the secret that signs what it hears."""

    url: Annotated[str, Meta(max_length=LONGEST_URL)]
    secret: Annotated[str, Meta(max_length=LONGEST_SECRET)]

    def __repr__(self) -> str:
        return "Callback(…)"  # both may open doors, and nothing of them belongs into a log


class CallbackState(StrEnum):
    """What became of a URL that was to be posted to."""

    WAITING = "waiting"
    """For the end of the request."""
    DUE = "due"
    """For the next post, or for the answer to one."""
    DELIVERED = "delivered"
    GONE = "gone"
    """The receiver wants no more: 410."""
    GIVEN_UP = "given_up"
    SUPPRESSED = "suppressed"
    """The end came by a replay that may have no effect outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackTold:
    """What is known of it."""

    state: CallbackState
    attempts: int
    problem: str
    """Of the last post: the status that was answered, or the code of an error; empty where there was none."""
    next_at: datetime | None
    """When the next post is made; None where none is to come, or the request has not ended."""
    settled_at: datetime | None


class CallbackNotFound(PenstockError):
    """This project has no such request, or it named no URL to be posted to."""

    code = "api.callback_not_found"
    fault = Fault.MISSING


def callback_key(secret: str) -> bytes:
    """The bytes that sign. Raises InvalidRequest."""
    try:
        key = key_of(Scheme.STANDARD, secret)
    except InvalidRequest:
        key = b""
    if len(key) not in KEY_BYTES:
        raise InvalidRequest("`webhook.secret` must be whsec_ and the base64 of 24 to 64 bytes.", "webhook.secret")
    return key


def state_after(status: int, attempts: int, most: int) -> CallbackState:
    """What the answer to a post leaves to be done; `status` 0 for no answer."""
    if 200 <= status < 300:
        return CallbackState.DELIVERED
    if status == GONE:
        return CallbackState.GONE
    return CallbackState.DUE if attempts < most else CallbackState.GIVEN_UP
