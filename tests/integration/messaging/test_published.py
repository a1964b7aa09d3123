"""Several messages stored at once: each has an outcome of its own."""

import time
from dataclasses import replace

import pytest

from penstock_common.errors import BusUnavailable, MessageTooLarge
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Outgoing
from tests.integration.messaging.rig import Rig, until
from tests.integration.messaging.shop import PAID, Paid

pytestmark = pytest.mark.integration


def several(count: int) -> list[Outgoing]:
    """Messages of the ids `0`, `1`, …"""
    return [envelop(Paid(id=str(n)), PAID) for n in range(count)]


async def test_all_of_many_are_stored(rig: Rig) -> None:
    """Each once, whatever their number."""
    await rig.start()
    assert list(await rig.bus.publish_all(several(200), timeout=10)) == [None] * 200
    await until(lambda: len(rig.seen("done")) == 200)
    assert set(rig.seen("done")) == {str(n) for n in range(200)}
    assert list(await rig.bus.publish_all([])) == []


async def test_what_can_not_be_stored_costs_only_itself(rig: Rig) -> None:
    """The others are, and the connection lives on."""
    await rig.start()
    first, large, last = several(3)
    outcomes = await rig.bus.publish_all([first, replace(large, body=bytes(20 << 20)), last])
    assert [type(outcome) for outcome in outcomes] == [type(None), MessageTooLarge, type(None)]
    await until(lambda: sorted(rig.seen("done")) == ["0", "2"])


async def test_a_silent_server_is_waited_for_once(rig: Rig) -> None:
    """Not once a message; afterwards all of them can be stored, under the same ids."""
    messages = several(20)
    rig.side.server.freeze()
    began = time.monotonic()
    outcomes = await rig.bus.publish_all(messages, timeout=1)
    assert 0.9 < time.monotonic() - began < 3
    assert [type(outcome) for outcome in outcomes] == [BusUnavailable] * 20
    rig.side.server.thaw()
    await until(lambda: rig.bus.connected)
    assert list(await rig.bus.publish_all(messages, timeout=10)) == [None] * 20


async def test_a_lost_connection_is_not_waited_for(rig: Rig) -> None:
    """Nobody will confirm what was sent on it, and nothing is sent on none."""
    await rig.bus.publish_all(several(1), timeout=10)
    rig.side.server.kill()
    outcomes = [*await rig.bus.publish_all(several(5), timeout=30)]
    outcomes += await rig.bus.publish_all(several(5), timeout=30)
    assert [type(outcome) for outcome in outcomes] == [BusUnavailable] * 10
    rig.side.server.start()
