"""What is done to a platform, and when: a function of the seed and the bus."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

GAP = (1.5, 3.5)  # seconds between the end of one fault and the next one
LEAD = 4.0  # seconds in which streams begin before the first fault
JUMP = (20.0, 90.0)  # seconds by which a clock is wrong; less than anything lives
LATE = (0.05, 0.4)  # seconds
RATE = (20_000, 200_000)  # bytes a second
PROCESSES = {"api": 2, "inference": 2, "billing": 2, "worker": 2, "scheduler": 2, "indexer": 2}
"""How many processes of each service there are."""
BUS, POSTGRES, ENGINE = "bus", "postgres", "engine"
CLUSTER = "nats-cluster"


class Kind(StrEnum):
    """A fault."""

    KILL = "kill -9"
    FREEZE = "freeze"
    RESTART = "restart"
    CUT = "cut the cable"
    SILENCE = "silence the cable"
    DELAY = "slow answers on the cable"
    TRICKLE = "little bandwidth on the cable"
    LOSE_ACKS = "lose acks"
    DOUBLE_ACKS = "double acks"
    REORDER_ACKS = "reorder acks"
    FILL_DISK = "fill the disk"
    JUMP_FORWARD = "clock jumps forward"
    JUMP_BACK = "clock jumps back"
    KILL_LEADER = "kill -9 the leader"


SECONDS = {
    Kind.FREEZE: (1.0, 8.0),
    Kind.SILENCE: (1.0, 8.0),
    Kind.DELAY: (3.0, 6.0),
    Kind.TRICKLE: (3.0, 6.0),
    Kind.LOSE_ACKS: (3.0, 6.0),
    Kind.DOUBLE_ACKS: (3.0, 6.0),
    Kind.REORDER_ACKS: (3.0, 6.0),
    Kind.FILL_DISK: (1.0, 4.0),
    Kind.JUMP_FORWARD: (3.0, 8.0),
    Kind.JUMP_BACK: (3.0, 8.0),
    Kind.KILL_LEADER: (1.0, 4.0),
}
"""How long a fault lasts, from and to; others are over at once."""
STRENGTHS = {Kind.DELAY: LATE, Kind.TRICKLE: RATE, Kind.JUMP_FORWARD: JUMP, Kind.JUMP_BACK: JUMP}
WEATHER = (Kind.CUT, Kind.SILENCE, Kind.DELAY, Kind.TRICKLE)
ACKS = (Kind.LOSE_ACKS, Kind.DOUBLE_ACKS, Kind.REORDER_ACKS)


@dataclass(frozen=True, slots=True)
class Fault:
    """One of them at its time."""

    at: float
    """Seconds after the first client."""
    kind: Kind
    target: str
    """A process (`api-0`), a server, or the cable from a process to a server (`api-0 ~ bus`)."""
    seconds: float = 0.0
    """How long it lasts; 0 where it is over at once."""
    strength: float = 0.0
    """Seconds of delay or of a jump, or bytes a second."""

    def __str__(self) -> str:
        strength = f" ({self.strength:g})" if self.strength else ""
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at:6.1f} s  {self.kind}{strength} {self.target}{lasting}"


@dataclass(frozen=True, slots=True)
class Done:
    """A fault as it came, in seconds after the first client: a busy machine is late, and starts servers slowly."""

    fault: Fault
    began: float
    ended: float


def cable(process: str, server: str) -> str:
    """The name of the cable from a process to a server."""
    return f"{process} ~ {server}"


def schedule(seed: int, seconds: float, bus: str) -> list[Fault]:
    """Faults for so long. Every kind comes once before any comes again; a short run on NATS begins with one half
    of them, on RabbitMQ with the other."""
    chance, faults, bag = random.Random(f"faults {seed}"), list[Fault](), list[tuple[Kind, str]]()
    at = LEAD
    while at < seconds:
        if not bag:
            bag = list(_everything(chance, bus))
            chance.shuffle(bag)
            if bus == "rabbitmq":
                bag.reverse()
        kind, target = bag.pop()
        lasting = round(chance.uniform(*SECONDS.get(kind, (0.0, 0.0))), 1)
        strength = round(chance.uniform(*STRENGTHS.get(kind, (0.0, 0.0))), 2)
        faults.append(Fault(round(at, 1), kind, target, lasting, strength))
        at += lasting + chance.uniform(*GAP)
    return faults


def _everything(chance: random.Random, bus: str) -> Iterator[tuple[Kind, str]]:
    """Each kind of fault at each kind of target."""

    def one_of(service: str) -> str:
        return f"{service}-{chance.randrange(PROCESSES[service])}"

    def any_process() -> str:
        return one_of(chance.choice(list(PROCESSES)))

    for service in PROCESSES:
        for kind in (Kind.KILL, Kind.FREEZE, Kind.RESTART):
            yield kind, one_of(service)
    for server in (BUS, POSTGRES):
        yield Kind.RESTART, server
        yield Kind.FREEZE, server
        yield from ((kind, cable(any_process(), server)) for kind in WEATHER)
        if (server, bus) != (BUS, CLUSTER):
            yield Kind.FILL_DISK, server
    yield from ((kind, cable("inference", ENGINE)) for kind in (Kind.DELAY, Kind.TRICKLE))
    yield from ((kind, cable(any_process(), BUS)) for kind in ACKS)
    yield from ((kind, any_process()) for kind in (Kind.JUMP_FORWARD, Kind.JUMP_BACK))
    if bus == CLUSTER:
        yield from [(Kind.KILL_LEADER, BUS)] * 3
