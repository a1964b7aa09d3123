"""Facts and questions about usage and money."""

from datetime import datetime
from uuid import UUID

import msgspec

from penstock_common.contracts.base import Contract
from penstock_common.contracts.generation import Tokens


class UsageRecorded(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """A request was charged; the ledger holds the postings."""

    request_id: UUID
    tenant: UUID
    key_id: UUID
    model: str
    tokens: Tokens
    charge_nano: int
    currency: str
    price_version: int
    occurred_at: datetime


class ReadUsage(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Query: usage of one tenant, one request, or (neither given) the whole platform."""

    tenant: UUID | None = None
    request_id: UUID | None = None


class ModelUsage(msgspec.Struct, frozen=True):
    """Usage of one model."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_nano: int


class UsageReport(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """What the ledger says, to the last token."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_nano: int
    currency: str
    by_model: dict[str, ModelUsage]
