"""Matches a service's handlers with the rows of the topology, before anything is received."""

from collections.abc import Iterator

from penstock_common.messaging.router import Registration, Router
from penstock_common.messaging.topology import Batch, Consumer, Runner, Topology

Pairs = list[tuple[Registration, Consumer]]


def matched(topology: Topology, router: Router) -> Pairs:
    """Each handler with its row, `on_dead` with its dead lane. Raises ValueError that names all that differs."""
    rows = {row.handler: row for row in _rows(topology, router.service)}
    handlers = {r.name: r for r in router.registrations}
    problems = [f"handler {name} has no row" for name in handlers.keys() - rows.keys()]
    problems += [f"row {name} has no handler" for name in rows.keys() - handlers.keys()]
    pairs = [(handlers[name], rows[name]) for name in rows if name in handlers]
    problems += [problem for registration, row in pairs for problem in _differences(registration, row)]
    if problems:
        raise ValueError(f"{router.service} and the topology differ: {'; '.join(sorted(problems))}")
    return pairs


def _rows(topology: Topology, service: str) -> Iterator[Consumer]:
    for row in topology.consumers:
        if row.service == service:
            yield row
            if row.dead_lane:
                yield row.dead_lane


def _differences(registration: Registration, row: Consumer) -> Iterator[str]:
    if registration.contract is not row.topic.contract:
        yield f"{registration.name} takes {registration.contract.__name__}, its row {row.topic.contract.__name__}"
    if registration.dead != row.is_dead_lane:
        yield f"{registration.name} must be declared by on_dead, and only it"
    batch = Batch(registration.size, registration.within_ms) if registration.size else None
    if batch != row.batch:
        yield f"{registration.name} has {batch or 'no batch'}, its row {row.batch or 'none'}"
    if row.batch and row.runner is not Runner.PLAIN:
        yield f"{registration.name}: batches run on the plain runner"
