"""What billing's handlers need of the outside."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from penstock_billing.domain.charge import Charge
from penstock_billing.domain.entries import Book, Entry, Known
from penstock_common.contracts.base import Contract
from penstock_common.contracts.catalogue import CatalogueModel, Price
from penstock_common.contracts.generation import GenerationCompleted

M = TypeVar("M", bound=Contract)
M_co = TypeVar("M_co", bound=Contract, covariant=True)


class Prices(Protocol):
    """The prices that the catalogue ever had."""

    async def named(self, versions: Collection[int]) -> dict[int, Price]:
        """Those of these versions that have arrived."""

    async def add(self, models: Sequence[CatalogueModel]) -> None:
        """Keep the models' prices; known ones stay as they are. Raises PriceDiffers."""


class Ledger(Protocol):
    """The append-only books."""

    async def post(self, entries: Sequence[Entry]) -> set[str]:
        """Write entries with their postings; returns the source keys written now.

        An entry that is there already is left alone. Raises EntryDiffers where the customer's has other numbers.
        """

    async def find(self, book: Book, source_key: str) -> Known:
        """The entry under a source key. Raises LookupError."""


class Books(Protocol[M_co]):
    """One open transaction."""

    @property
    def fresh(self) -> Sequence[M_co]:
        """The messages not handled before."""

    @property
    def prices(self) -> Prices:
        """Prices, as this transaction sees them."""

    @property
    def ledger(self) -> Ledger:
        """The books, as this transaction sees them."""

    def publish(self, message: Contract, *, message_id: str = "", because_of: Contract | None = None) -> None:
        """Publish once the transaction commits."""


class Deps(Protocol):
    """What a handler is given."""

    async def prices(self, versions: Collection[int]) -> Mapping[int, Price]:
        """Prices by version, among them those of these versions that have arrived."""

    async def post_new(self, events: Sequence[GenerationCompleted], charges: Sequence[Charge]) -> bool:
        """Post charges, mark their events as handled and publish their facts, all at once.

        False, and nothing is written, where any of it was written before, or the schema is a release behind.
        """

    def transaction(self, messages: M | Sequence[M]) -> AbstractAsyncContextManager[Books[M]]:
        """Begin with the inbox rows of the messages; commit at the end of the block."""
