"""One event with all that is known of it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from penstock.events.decoding import decoded
from penstock.events.found import Handling, find_event, handlings_of
from penstock.events.listed import as_data, json_line
from penstock.events.source import database_of, reading
from penstock.tables import console, table
from penstock_common.events.event import StoredEvent

WAITS = {
    "waiting": "not handled yet: it is not published, waits on the bus, or is being handled",
    "unrecorded": "its own rows tell, see: penstock events trace",
}


async def show_event(text: str, data: Path | None, database: str | None, *, as_json: bool) -> None:
    """Print it, and each time it was sent once more. Raises NoSuchEvent, CannotRead."""
    async with reading(database_of(data, database)) as connection:
        found = await find_event(connection, text)
        told = [told_of(event, await handlings_of(connection, event)) for event in found]
    if as_json:
        print(json_line(told[0] | {"sent_again": told[1:]}))
        return
    for each in told:
        _print(each)


def told_of(event: StoredEvent, handlings: list[Handling]) -> dict[str, Any]:
    """All that is known of an event, as plain data."""
    consumers = [{name: value for name, value in asdict(each).items() if value} for each in handlings]
    size = {"bytes": len(event.body)}
    return as_data(event) | size | decoded(event) | {"headers": dict(event.headers), "consumers": consumers}


def _print(told: dict[str, Any]) -> None:
    out = console()
    shown = table("what", "value", title=told["topic"])
    for name, value in told.items():
        if name not in ("headers", "fields", "consumers"):
            shown.add_row(name, str(value))
    for name, value in sorted(told["headers"].items()):
        shown.add_row(f"header {name}", value)
    for name, value in told.get("fields", {}).items():
        shown.add_row(f"field {name}", value if isinstance(value, str) else msgspec.json.encode(value).decode())
    out.print(shown)
    handled = table("consumer", "state", "at", "detail")
    for each in told["consumers"]:
        letter = f"{each['code']}; see: penstock dlq show {each['letter']}" if "letter" in each else ""
        handled.add_row(each["consumer"], each["state"], str(each.get("at", "")), letter or WAITS.get(each["state"]))
    out.print(handled if told["consumers"] else "No consumer has to handle it.")
