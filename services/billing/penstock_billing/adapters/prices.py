"""Prices as the catalogue's events brought them."""

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_billing.domain.errors import PriceDiffers
from penstock_common.contracts.catalogue import CatalogueModel, Price

NUMBERS = "version, currency, input_nano, output_nano, cached_input_nano, provider_input_nano, provider_output_nano"
NAMED = f"select {NUMBERS} from {{schema}}.prices where version = any(:versions)"
ADD = f"""
insert into {{schema}}.prices (model, simulated, {NUMBERS})
select * from unnest(
    cast(:model as text[]), cast(:simulated as boolean[]), cast(:version as bigint[]), cast(:currency as text[]),
    cast(:input_nano as bigint[]), cast(:output_nano as bigint[]), cast(:cached_input_nano as bigint[]),
    cast(:provider_input_nano as bigint[]), cast(:provider_output_nano as bigint[]))
order by 3
on conflict (version) do nothing
"""


class SqlPrices:
    """Prices in one transaction."""

    def __init__(self, connection: AsyncConnection, schema: str = "billing") -> None:
        self.connection = connection
        self._named, self._add = (text(statement.format(schema=schema)) for statement in (NAMED, ADD))

    async def named(self, versions: Collection[int]) -> dict[int, Price]:
        """Those of these versions that have arrived."""
        rows = await self.connection.execute(self._named, {"versions": sorted(versions)})
        return {row.version: Price(**row._mapping) for row in rows}

    async def add(self, models: Sequence[CatalogueModel]) -> None:
        """Keep the models' prices; known ones stay as they are. Raises PriceDiffers."""
        columns: dict[str, list[object]] = {
            "model": [m.name for m in models],
            "simulated": [m.simulated for m in models],
        }
        for field in msgspec.structs.fields(Price):
            columns[field.name] = [getattr(m.price, field.name) for m in models]
        await self.connection.execute(self._add, columns)
        known = await self.named({m.price.version for m in models})
        for model in models:
            if known[model.price.version] != model.price:
                raise PriceDiffers(f"price version {model.price.version} of {model.name} came with other numbers")
