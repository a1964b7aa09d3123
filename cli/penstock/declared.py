"""The topology table for people and for scripts."""

from typing import Any

from penstock.tables import console, table
from penstock_common.messaging.topology import Topology


def declared(topology: Topology) -> dict[str, Any]:
    """Streams, topics and consumers as plain data."""
    return {
        "streams": [
            {"name": s.name, "max_age_s": s.max_age, "max_bytes": s.max_bytes, "refuse_when_full": s.refuse_when_full}
            for s in topology.streams
        ],
        "topics": [
            {
                "subject": t.subject,
                "kind": t.kind.value,
                "owner": t.owner,
                "stream": t.stream,
                "contract": t.contract.__name__,
            }
            for t in topology.topics
        ],
        "consumers": [
            {
                "name": lane.name,
                "subject": lane.topic.subject,
                "runner": lane.runner.value,
                "concurrency": lane.batch.size if lane.batch else lane.concurrency,
                "max_attempts": lane.max_attempts,
                "dead_letters": lane.dead_letters,
            }
            for lane in topology.lanes
        ],
    }


def print_declared(topology: Topology) -> None:
    """One table for each kind of thing."""
    for title, rows in declared(topology).items():
        shown = table(*rows[0], title=title)
        for row in rows:
            shown.add_row(*(str(cell) for cell in row.values()))
        console().print(shown)
