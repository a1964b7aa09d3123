"""What billing keeps of others' events, made by the statements of its handlers. The ledger is none: it is a record."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_billing.adapters.prices import SqlPrices
from penstock_common.contracts.catalogue import CatalogueChanged, Price
from penstock_common.projection import Projection


async def _prices(connection: AsyncConnection, schema: str, events: Sequence[CatalogueChanged]) -> None:
    prices = SqlPrices(connection, schema)
    for event in events:
        await prices.add(event.models)


PROJECTIONS = (
    Projection(
        service="billing",
        table="prices",
        key=("version",),
        stable=("model", "simulated", *(name for name in Price.__struct_fields__ if name != "version")),
        contract=CatalogueChanged,
        apply=_prices,
    ),
)
