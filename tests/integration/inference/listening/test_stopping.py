"""A stop ends the engine's call within a second, wherever it runs; what was generated is metered."""

import asyncio
import time

import pytest

from penstock_common.contracts.generation import CancelGeneration, GenerateText, Measure
from penstock_common.messaging.envelope import Context, envelop
from penstock_common.topology import PLATFORM
from tests.integration.inference.listening.conftest import Command
from tests.integration.inference.listening.probe import Probe
from tests.support.engine_fake import Answer, End, FakeEngine, chunk, event

pytestmark = pytest.mark.integration

WITHIN_SECONDS = 3.0  # a second by design, the rest is a busy machine's
SLOW = Answer([event(chunk(content="Deep and wide.")), 60.0, event(chunk(content=" Yes."))])
SILENT = Answer([60.0])
MUTE = Answer([60.0], end=End.SILENT)


async def stopped(probe: Probe, upstream: FakeEngine, request: GenerateText) -> float:
    """Ask for a stop; the seconds until the engine saw its call end."""
    cancel = CancelGeneration(request_id=request.request_id, tenant=request.tenant, reason="asked")
    asked = time.monotonic()
    topic = PLATFORM.topic(CancelGeneration)
    await probe.bus.publish(envelop(cancel, topic, message_id=f"{cancel.request_id}.stop", context=Context()), 5.0)
    await asyncio.wait_for(upstream.left.wait(), 20)
    return time.monotonic() - asked


async def test_stop_ends_the_engines_call_within_a_second(probe: Probe, command: Command, upstream: FakeEngine) -> None:
    """While it streams, before its first token, before its first byte, and unstreamed."""
    for streamed, answer in ((True, SLOW), (True, SILENT), (True, MUTE), (False, SILENT), (False, MUTE)):
        upstream.asked.clear()
        upstream.left.clear()
        upstream.will(answer)
        probe.frames.clear()
        asked = command(streamed=streamed)
        await probe.publish(asked)
        await probe.until(lambda: bool(upstream.asked))
        await probe.until(lambda said=answer is SLOW: probe.texts or not said)
        assert await stopped(probe, upstream, asked) < WITHIN_SECONDS
        await probe.until(lambda: bool(probe.ends))
        await assert_metered(probe, asked, produced=answer is SLOW)


async def assert_metered(probe: Probe, asked: GenerateText, *, produced: bool) -> None:
    """What was generated is charged as partial; who was sent nothing pays nothing."""
    [end] = probe.ends
    state = await probe.read(asked.request_id, reply=False)
    assert (end.outcome, state.outcome) == ("cancelled", "cancelled")
    assert state.tokens == end.tokens
    assert (end.tokens.completion > 0, end.tokens.measure is Measure.PARTIAL) == (produced, produced)
