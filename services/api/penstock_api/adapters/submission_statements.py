"""The statements that keep submissions."""

from collections.abc import Iterable

from sqlalchemy import text

from penstock_api.adapters.requests_log import COLUMNS
from penstock_common.db import outbox
from penstock_common.db.arrays import arrays_of
from penstock_common.db.outbox import insert_statement

KEPT = ("request_id", "tenant", "key_id", "model", "streamed", "lane", "decisions", "accepted_at", "deadline")
HISTORY = {name: COLUMNS[name] for name in KEPT}
_NAMES = ", ".join(HISTORY)


def _keep(parameters: Iterable[str]) -> str:
    arrays = arrays_of(parameters, HISTORY.values())
    return f"""
insert into api.requests ({_NAMES}, status)
select {_NAMES.replace("decisions", "cast(decisions as jsonb)")}, 'accepted' from unnest({arrays}) as g({_NAMES})
on conflict do nothing
"""


_NUMBERED = [f"${number}" for number in range(1, 1 + len(HISTORY) + len(outbox.COLUMNS))]
ACCEPT = f"""
with kept as ({_keep(_NUMBERED[: len(HISTORY)])})
{insert_statement("api", _NUMBERED[len(HISTORY) :])}
"""
"""Rows of the history and of the outbox, given as one array a column: all that most submissions need."""

KEEP = text(_keep(f":{name}" for name in HISTORY))
REMEMBER = text("""
insert into api.completion_hooks (request_id, tenant, hook_id, depth)
values (:request_id, :tenant, :hook_id, :depth) on conflict do nothing
""")
CALL_BACK = text("""
insert into api.callbacks (request_id, tenant, sealed, depth)
values (:request_id, :tenant, :sealed, :depth) on conflict do nothing
""")
