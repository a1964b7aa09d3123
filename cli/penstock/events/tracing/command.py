"""`penstock events trace`."""

from pathlib import Path

from penstock.events.listed import json_line
from penstock.events.source import database_of, reading
from penstock.events.tracing.gathering import gather
from penstock.events.tracing.show import show
from penstock.events.tracing.tree import Tree
from penstock.events.tracing.verdict import verdict_of


async def print_trace(text: str, data: Path | None, database: str | None, *, as_json: bool) -> int:
    """Print it; gives the exit code. Raises Untraceable, CannotRead."""
    async with reading(database_of(data, database)) as connection, connection.transaction(isolation="repeatable_read"):
        facts = await gather(connection, text)
    roots = Tree(facts).roots()
    verdict = verdict_of(facts, roots)
    if as_json:
        told = {
            "sought": facts.sought,
            "state": verdict.mark.value,
            "sentences": verdict.sentences,
            "cut": facts.is_cut,
        }
        print(json_line(told | {"roots": [root.as_data() for root in roots]}))
    else:
        show(facts.sought, roots, verdict)
    return 0 if verdict.is_over else 1
