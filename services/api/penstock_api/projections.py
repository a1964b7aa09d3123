"""What api keeps of others' events, made by the statements of its handlers."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_api.adapters.catalogue import keep_catalogue
from penstock_api.adapters.requests_log import write_ends
from penstock_common.contracts.catalogue import CatalogueChanged
from penstock_common.contracts.generation import GenerationCompleted
from penstock_common.projection import Projection


async def _catalogues(connection: AsyncConnection, schema: str, events: Sequence[CatalogueChanged]) -> None:
    await keep_catalogue(connection, schema, max(events, key=lambda event: event.version))


PROJECTIONS = (
    Projection(
        service="api",
        table="requests",
        key=("request_id",),
        stable=(
            *("tenant", "key_id", "model", "streamed", "lane", "status", "attempt", "prompt_tokens"),
            *("completion_tokens", "decisions", "accepted_at", "ended_at"),
        ),
        contract=GenerationCompleted,
        apply=write_ends,
        # what api itself saw of a request has these states, and no event behind it
        surplus="live.status not in ('accepted', 'refused', 'lost') and live.ended_at >= :since",
    ),
    Projection(
        service="api",
        table="catalogue",
        key=("is_only_row",),
        stable=("version", "models"),
        contract=CatalogueChanged,
        apply=_catalogues,
        seed="insert into {schema}.catalogue (version, models) values (0, '[]')",
    ),
)
