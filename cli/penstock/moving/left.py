"""What still lies on a bus that is to be left."""

from collections.abc import Iterable, Sequence

from penstock_common.messaging.connect import make_inspector
from penstock_common.messaging.inspection import BusState
from penstock_common.messaging.topology import Consumer
from penstock_common.topology import PLATFORM


def lanes_of(services: Sequence[str] = ()) -> list[Consumer]:
    """The lanes of these services, of all for none; but for those that tell what became of the bus itself."""
    upkeep = {lane.name for lane in PLATFORM.upkeep.values()}
    return [lane for lane in PLATFORM.lanes if lane.name not in upkeep and (not services or lane.service in services)]


async def left_on(url: str, services: Sequence[str] = ()) -> int:
    """Messages that wait, are being handled or are to be tried again. Raises BusUnavailable, BusRefused."""
    return count(await make_inspector(url).look(PLATFORM), lanes_of(services))


def count(state: BusState, lanes: Iterable[Consumer]) -> int:
    """The same of a bus that was looked at."""
    there = (state.lanes[lane.name] for lane in lanes if lane.name in state.lanes)
    return state.delayed + sum(lane.waiting + lane.unfinished for lane in there)
