"""Entries of the ledger: what happened, and the postings that sum to zero."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from penstock_common.contracts.generation import Tokens
from penstock_common.ids import text_of


class Book(StrEnum):
    """Whose money an entry is about."""

    CUSTOMER = "customer"
    """What customers owe us: one entry a request."""
    PROVIDER = "provider"
    """What we owe providers: one entry an attempt."""


REVENUE = "revenue:usage"
COST = "cost:inference"


def customer_account(tenant: UUID) -> str:
    """What one tenant owes us; positive amounts are debts."""
    return f"customer:{text_of(tenant)}"


def provider_account(provider: str) -> str:
    """What we owe one provider; negative amounts are debts."""
    return f"provider:{provider}"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One fact in one book, under a source key that is used once for ever."""

    book: Book
    source_key: str
    kind: str
    request_id: UUID
    attempt: int
    tenant: UUID
    key_id: UUID | None
    model: str
    tokens: Tokens
    outcome: str | None
    currency: str
    price_version: int
    occurred_at: datetime
    postings: Mapping[str, int]
    """Nano units by account; they sum to zero."""
    corrects: UUID | None = None

    @property
    def numbers(self) -> tuple[object, ...]:
        """What must be equal for two entries under one source key to be the same entry twice."""
        t = self.tokens
        counts = (t.prompt, t.completion, t.cached, t.measure.value)
        return (self.attempt, self.outcome, self.currency, self.price_version, *counts)


@dataclass(frozen=True, slots=True)
class Known:
    """An entry that is in the book already."""

    id: UUID
    measure: str
    postings: Mapping[str, int]
