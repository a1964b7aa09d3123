"""The simulated engine's port."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from penstock_common.clock import Clock
from penstock_inference.adapters.engines.sim.record import BLOCK, Entry, Record
from penstock_inference.adapters.engines.sim.script import Mishap, Script, canonical_messages, continuing, script_for
from penstock_inference.adapters.engines.sim.wire import Step, endings, steps, whole
from penstock_inference.domain.errors import (
    ContextTooLong,
    EngineCut,
    EngineFailed,
    EngineGarbled,
    EngineOverloaded,
    EngineRefused,
    EngineTimedOut,
)
from penstock_inference.ports import EngineCall, EngineEvent, WholeAnswer

SLOW_TOKENS_PER_SECOND = 20
OFF_LOOP_BYTES = 64 * 1024  # a longer prompt is counted on a thread


@dataclass(frozen=True, slots=True)
class SimulatedEngine:
    """Answers `fast`, `slow` and `flaky`; the same prompt, model and seed give the same text."""

    record: Record
    clock: Clock
    stall_seconds: float = 30.0
    """How long a stalled call of `flaky` hangs before it ends as one."""

    async def stream(self, call: EngineCall) -> AsyncGenerator[list[EngineEvent], None]:
        """Tokens in blocks, or one by one at the speed of the model."""
        script = whole_script = await self._script(call)
        if call.prefix.text:
            script = continuing(whole_script, call.prefix.text)
        entry = self.record.open(call, whole_script.prompt_tokens, script.prompt_tokens - whole_script.prompt_tokens)
        handed = 0
        try:
            async for tokens, events in self._paced(call, script, entry):
                handed += tokens
                yield events
            yield endings(script)
        finally:
            entry.close(handed)

    async def complete(self, call: EngineCall) -> WholeAnswer:
        """The whole answer, after the time that the model takes for it."""
        script = await self._script(call)
        if script.mishap is Mishap.NONE and is_immediate(call):
            self.record.whole(call, script.prompt_tokens, script.tokens)
            return whole(call, script, int(self.clock.now().timestamp()))
        entry = self.record.open(call, script.prompt_tokens)
        produced = 0
        try:
            async for tokens, _ in self._paced(call, script, entry):
                produced += tokens
        finally:
            entry.close(produced)
        return whole(call, script, int(self.clock.now().timestamp()))

    async def embed(self, call: EngineCall) -> WholeAnswer:
        """Refused: raises EngineRefused. The built-in embedding model is a real one."""
        raise EngineRefused(f"{call.model.name} makes no embeddings; local/all-minilm-l6-v2 does")

    async def close(self) -> None:
        """Release the record."""
        self.record.close()

    async def _script(self, call: EngineCall) -> Script:
        """What to say. Raises where the call fails before the first token."""
        canonical = canonical_messages(call.body)
        given = call.body, speed_of(call), canonical
        script = script_for(*given) if len(canonical) < OFF_LOOP_BYTES else await asyncio.to_thread(script_for, *given)
        room = call.model.context_tokens
        if room and script.prompt_tokens > room:
            raise ContextTooLong(f"the prompt has {script.prompt_tokens} tokens, {call.model.name} takes {room}")
        if script.mishap is Mishap.FAILED:
            raise EngineFailed("the simulated engine failed, as this seed says")
        if script.mishap is Mishap.OVERLOADED:
            raise EngineOverloaded("the simulated engine is overloaded, as this seed says", retry_after=1.0)
        return script

    async def _paced(
        self, call: EngineCall, script: Script, entry: Entry
    ) -> AsyncGenerator[tuple[int, list[EngineEvent]], None]:
        """(tokens, events) to hand out together, each block of 32 tokens announced before its first one."""
        plan = steps(script)
        if script.mishap is not Mishap.NONE:
            plan = plan[: len(plan) // 2]
        slow, loop = speed_of(call) == "slow", asyncio.get_running_loop()
        due, announced = loop.time(), 0
        for start in range(0, len(plan), BLOCK):
            block = plan[start : start + BLOCK]
            announced += sum(tokens for tokens, _ in block)
            entry.count(announced)
            for group in [[step] for step in block] if slow else [block]:
                if slow:
                    due += tokens_in(group) / SLOW_TOKENS_PER_SECOND
                    await asyncio.sleep(due - loop.time())
                yield tokens_in(group), [event for _, event in group]
        await self._mishap(script.mishap)

    async def _mishap(self, mishap: Mishap) -> None:
        if mishap is Mishap.STALL:
            await asyncio.sleep(self.stall_seconds)
            raise EngineTimedOut(f"the simulated engine sent nothing for {self.stall_seconds:g} s, as this seed says")
        if mishap is Mishap.CUT:
            raise EngineCut("the simulated engine cut the answer, as this seed says")
        if mishap is Mishap.GARBAGE:
            raise EngineGarbled("the simulated engine sent garbage, as this seed says")


def tokens_in(group: list[Step]) -> int:
    """Tokens of several steps."""
    return sum(tokens for tokens, _ in group)


def speed_of(call: EngineCall) -> str:
    """`fast`, `slow` or `flaky`."""
    return call.model.upstream_model or call.model.name.rpartition("/")[2]


def is_immediate(call: EngineCall) -> bool:
    """Whether the whole answer takes no time."""
    return speed_of(call) != "slow"
