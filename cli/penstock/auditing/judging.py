"""Whether a message that was said and not handled is still under way, or missing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from penstock_common.ids import time_of
from penstock_common.messaging.inspection import BusState, LaneState
from penstock_common.messaging.topology import DEAD_LETTERS, Consumer, Kind, Topology
from penstock_common.topology import PLATFORM

SETTLE = 60.0
"""Seconds after its publication in which a message may be anywhere."""
CONFIRM = 30.0
"""Seconds through which the bus must not have it: RabbitMQ does not show what a process holds, or moves it."""


class Open(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message that was said, and that neither its consumer nor the dead letters have."""

    consumer: str
    service: str
    """Whose outbox has it."""
    id: UUID
    """The row's."""
    message_id: str
    subject: str
    published_at: datetime | None = None
    at_work: bool = False
    """Somebody has begun, and may take until its deadline."""
    absent_since: datetime | None = None
    """Since when the bus was seen without it."""
    passed_at: datetime | None = None
    """When nothing waited any more, so that it had been delivered."""

    @property
    def key(self) -> tuple[str, UUID]:
        """What stays the same from one look to the next."""
        return self.consumer, self.id

    @property
    def said_at(self) -> datetime:
        """When it was said, to the millisecond."""
        return time_of(self.id)

    @property
    def mend(self) -> str:
        """The command that says it again to this consumer alone, with all that follows: it was never handled."""
        commands = {c.name for c in PLATFORM.consumers if c.topic.kind is Kind.COMMAND}
        asks = " --commands" if self.consumer in commands else ""
        return f"penstock events replay --id {self.message_id} --to {self.consumer}{asks} --effects allow"

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "consumer": self.consumer,
            "topic": self.subject,
            "message_id": self.message_id,
            "service": self.service,
            "said_at": self.said_at.isoformat(),
            "published_at": self.published_at.isoformat() if self.published_at else None,
            "mend": self.mend,
        }


@dataclass(frozen=True, slots=True)
class Lane:
    """What a bus may still hold for one consumer."""

    known: bool = False
    """False while the bus can't tell: it lacks the lane, or something is being made anew."""
    held: int = 0
    """Messages that may be among what it holds, in whatever place; 0 means that it surely has none."""
    waiting: int = 0
    receivers: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """How long to wait before a message counts as missing; tests take less."""

    settle: float = SETTLE
    confirm: float = CONFIRM


def lanes_of(state: BusState, topology: Topology) -> Mapping[str, Lane]:
    """By consumer. What lies between lanes may be anybody's, as may what a service is about to say again."""
    collectors = _there(state, (c.name for c in topology.consumers if c.topic.stream == DEAD_LETTERS.name))
    repeating = _there(state, (lane.name for lane in topology.upkeep.values()))
    at_it = (each for each in repeating if each.receivers or each.unfinished)  # else the service does not run
    common = state.delayed + sum(map(_held, [*collectors, *at_it]))
    return {consumer.name: _lane(state, consumer, common) for consumer in topology.consumers}


def _lane(state: BusState, consumer: Consumer, common: int) -> Lane:
    names = [lane.name for lane in (consumer, consumer.quarantine) if lane]
    there = list(_there(state, names))
    if state.missing or len(there) < len(names):
        return Lane()
    return Lane(
        known=True,
        held=common + sum(map(_held, there)),
        waiting=sum(each.waiting for each in there),
        receivers=there[0].receivers,
    )


def _there(state: BusState, names: Iterable[str]) -> Iterable[LaneState]:
    return (state.lanes[name] for name in names if name in state.lanes)


def _held(lane: LaneState) -> int:
    return lane.waiting + lane.unfinished


def judged(entry: Open, lane: Lane, now: datetime, patience: float, rules: Rules) -> tuple[Open, bool]:
    """The entry as the next look needs it, and whether it is missing.

    `lane` was looked at before the row was found unhandled: had it been handled by then, the row would say so. It is
    missing once the bus did not have it for some time, or once all its attempts must be over.
    """
    if entry.published_at is None or entry.at_work or not lane.known:
        return msgspec.structs.replace(entry, absent_since=None, passed_at=None), False
    if (now - entry.published_at).total_seconds() < rules.settle:
        return entry, False
    passed = entry.passed_at or (now if lane.waiting == 0 else None)
    if lane.held and not lane.receivers:  # nobody makes its attempts
        passed = None
    over = passed is not None and (now - passed).total_seconds() > patience
    absent = (entry.absent_since or now) if lane.held == 0 or over else None
    missing = absent is not None and (now - absent).total_seconds() >= rules.confirm
    return msgspec.structs.replace(entry, absent_since=absent, passed_at=passed), missing
