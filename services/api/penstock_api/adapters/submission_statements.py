"""The statements that keep submissions."""

from sqlalchemy import text

HISTORY = {
    "request_id": "uuid",
    "tenant": "uuid",
    "key_id": "uuid",
    "model": "text",
    "streamed": "bool",
    "lane": "text",
    "decisions": "text",
    "accepted_at": "timestamptz",
    "deadline": "timestamptz",
}
OUTBOX = {
    "day": "date",
    "id": "uuid",
    "subject": "text",
    "stream": "text",
    "message_id": "text",
    "headers": "text",
    "body": "bytea",
}
_NAMES = ", ".join(HISTORY)


def _keep(arrays: str) -> str:
    return f"""
insert into api.requests ({_NAMES}, status)
select {_NAMES.replace("decisions", "cast(decisions as jsonb)")}, 'accepted' from unnest({arrays}) as g({_NAMES})
on conflict do nothing
"""


def _numbered(columns: dict[str, str], first: int) -> str:
    return ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(columns.values(), first))


ACCEPT = f"""
with kept as ({_keep(_numbered(HISTORY, 1))})
insert into api.outbox ({", ".join(OUTBOX)})
select {", ".join(OUTBOX).replace("headers", "cast(headers as jsonb)")}
from unnest({_numbered(OUTBOX, 1 + len(HISTORY))}) as g({", ".join(OUTBOX)})
"""
"""Rows of the history and of the outbox, given as one array a column: all that most submissions need."""

KEEP = text(_keep(", ".join(f"cast(:{name} as {kind}[])" for name, kind in HISTORY.items())))
REMEMBER = text("""
insert into api.completion_hooks (request_id, tenant, hook_id, depth)
values (:request_id, :tenant, :hook_id, :depth) on conflict do nothing
""")
CALL_BACK = text("""
insert into api.callbacks (request_id, tenant, sealed, depth)
values (:request_id, :tenant, :sealed, :depth) on conflict do nothing
""")
