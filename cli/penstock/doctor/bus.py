"""The bus: reachable, in shape, and every consumer getting on with its work."""

import asyncio
from collections.abc import Iterator

from penstock.doctor.addresses import shown
from penstock.doctor.finding import Finding, Level, Patient
from penstock_common.errors import BusUnavailable, PenstockError, TopologyRefused
from penstock_common.messaging.connect import diff_topology, make_inspector
from penstock_common.messaging.inspection import BusRefused, BusState, Inspector
from penstock_common.topology import PLATFORM

BUS, TOPOLOGY, CONSUMERS = "bus", "topology", "consumers"
BETWEEN_LOOKS = 2.0  # seconds; RabbitMQ's counts of a queue are not fresher
MOST_SHOWN = 5


async def check_bus(patient: Patient) -> list[Finding]:
    """All that hangs on the bus."""
    if not patient.bus:
        return [Finding(BUS, Level.SKIPPED, f"{patient.why_not} To check a bus of your own: --bus URL")]
    where = shown(patient.bus)
    try:
        inspector = make_inspector(patient.bus)
        first = await inspector.look(PLATFORM)
        damaged = await _damaged(inspector)
    except ValueError as error:
        return [Finding(BUS, Level.FAIL, f"this is no address of a bus: {error}", where, "correct --bus")]
    except BusRefused:
        mend = "correct user and password in --bus, or on the server"
        return [Finding(BUS, Level.FAIL, "the bus refuses this user or password", where, mend)]
    except BusUnavailable as error:
        mend = "start it, or correct its address; of an embedded bus see: penstock logs nats"
        return [Finding(BUS, Level.FAIL, f"the bus can't be reached: {error.message}", where, mend)]
    return [*(damaged or [Finding(BUS)]), *await _in_use(patient, first, where)]


async def _damaged(inspector: Inspector) -> list[Finding]:
    """In two looks: a queue that elects its leader can't be opened either."""
    if not (first := await inspector.damaged(PLATFORM)):
        return []
    await asyncio.sleep(BETWEEN_LOOKS)
    return [_unopened(queue) for queue in await inspector.damaged(PLATFORM) if queue in first]


def _unopened(queue: str) -> Finding:
    problem = "RabbitMQ can't open this queue, as after a full disk: what goes there stays in its outbox"
    mend = f"rabbitmqctl delete_queue {queue}: it is made anew and filled from the outboxes"
    return Finding(BUS, Level.FAIL, problem, f"queue {queue}", mend)


async def _in_use(patient: Patient, first: BusState, where: str) -> list[Finding]:
    if patient.state is None:
        return []  # what a platform would make of it is made by penstock up
    topology = await _topology(patient.bus, where)
    await asyncio.sleep(BETWEEN_LOOKS)
    try:
        second = await make_inspector(patient.bus).look(PLATFORM)
    except PenstockError as error:
        return [topology, Finding(CONSUMERS, Level.FAIL, f"the bus went away: {error.message}", where)]
    stuck = list(_stuck(first, second)) or [Finding(CONSUMERS)]
    return [topology, *stuck]


async def _topology(url: str, where: str) -> Finding:
    mend = "run: penstock topology apply"
    try:
        changes = await diff_topology(url)
    except (TopologyRefused, BusUnavailable) as error:
        return Finding(TOPOLOGY, Level.FAIL, f"topics and consumers can't be compared: {error.message}", where, mend)
    if not changes:
        return Finding(TOPOLOGY)
    more = f" and {len(changes) - MOST_SHOWN} more" if len(changes) > MOST_SHOWN else ""
    problem = f"the bus is not as this version declares it: {'; '.join(changes[:MOST_SHOWN])}{more}"
    return Finding(TOPOLOGY, Level.FAIL, problem, where, mend)


def _stuck(first: BusState, second: BusState) -> Iterator[Finding]:
    for lane in PLATFORM.lanes:
        before, now = first.lanes.get(lane.name), second.lanes.get(lane.name)
        if not before or not now or not now.is_stuck(before):
            continue
        if lane in PLATFORM.upkeep.values() and not now.receivers:  # a service that does not run has nothing to repeat
            continue
        count = now.waiting + now.unfinished
        why = "its handler makes no progress" if now.receivers else "no process receives them"
        problem = f"{count} message(s) wait, and {why}"
        mend = f"see penstock logs {lane.service}; if the process hangs, end it: it is started again by itself"
        yield Finding(CONSUMERS, Level.FAIL, problem, f"consumer {lane.name}", mend)
