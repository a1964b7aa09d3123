"""What does not happen where the end of a request is only said again: nobody outside is told of it."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from penstock_common.contracts.generation import GenerationCompleted

# Where the end was known before, whoever waits for it is told as ever.
UNKNOWN = """
request_id = any(:ids) and not exists (
    select from api.requests r where r.request_id = waiting.request_id and r.status <> 'accepted'
)
"""
CALLBACKS = text(f"""
update api.callbacks waiting set state = 'suppressed', sealed = null, settled_at = now()
where state = 'waiting' and {UNKNOWN}
""")
HOOKS = text(f"delete from api.completion_hooks waiting where {UNKNOWN}")


async def suppress_effects(connection: AsyncConnection, events: Sequence[GenerationCompleted]) -> None:
    """Settle what waits to tell of these ends, before they are written."""
    given = {"ids": sorted(event.request_id for event in events)}
    for statement in (CALLBACKS, HOOKS):
        await connection.execute(statement, given)
