"""Answers one `GenerateText`: claims where it must, runs the engine, records the end, tells the client."""

import asyncio
from functools import partial

import msgspec
import structlog

from penstock_common.contracts.base import Decision
from penstock_common.contracts.generation import GenerateText, Outcome, Tokens
from penstock_common.contracts.stream import Ended, Failure
from penstock_common.errors import DatabaseUnavailable
from penstock_common.messaging.delivery import HandBack
from penstock_inference.domain.ending import End, Place, RecordsUnavailable, Unrecorded, failure_of, ungenerated
from penstock_inference.generating.attempt import AGAIN_SECONDS, PROMISED_SECONDS, Attempt, pause_of
from penstock_inference.generating.needs import Needs
from penstock_inference.generating.run import Run, Superseded

log = structlog.get_logger()

ENDS = frozenset(Outcome)
FORGETFUL_SECONDS = 4.0  # a bus that crashed may have forgotten that it delivered a command before


class Generator(Needs):
    """Every generation of a process."""

    __slots__ = ()

    async def handle(self, command: GenerateText, *, redelivered: bool) -> None:
        """Answer a command once, however often it is delivered. Raises HandBack while another process is at it."""
        attempt = 1
        if command.request_id in self.registry.runs:
            raise HandBack(AGAIN_SECONDS)
        if redelivered or command.republished or since_sent(self, command) > FORGETFUL_SECONDS:
            claimed = await self._take_over(command)
            if claimed is None:
                return
            attempt = claimed
        elif self.records.stalled:
            if command.is_promised:  # nobody is told by this answer that it is only now that it can't be had
                raise HandBack(PROMISED_SECONDS)
            await self._refuse(command)
            return
        run = Run(command, attempt, process=self.process, ports=self.shared)
        run.task = asyncio.current_task()
        self.registry.add(run)
        try:
            if attempt > 1:
                await self.listeners.took_over(command.request_id, attempt)
            await self._answer(run)
        finally:
            self.registry.remove(run)

    async def _take_over(self, command: GenerateText) -> int | None:
        """The attempt to make, or None where the request ended already and its answer was sent again."""
        if await self.listeners.owner_lives(command.request_id):
            raise HandBack(AGAIN_SECONDS)
        try:
            attempt = await self.records.claim(command, self.process)
        except DatabaseUnavailable as error:  # it is no fault of the command, which has only so many attempts
            raise HandBack(pause_of(command)) from error
        if attempt is None:
            await self.repeat_end(command)
        else:
            log.info("generation.taken_over", request_id=str(command.request_id), attempt=attempt)
        return attempt

    async def repeat_end(self, command: GenerateText) -> bool:
        """Send the recorded answer again, from its beginning. False where none is recorded yet."""
        recorded = await self.records.read(command.request_id)
        if recorded and recorded.frames:
            self.listeners.send(command.reply_to, command.request_id, recorded.frames)
        return recorded is not None and recorded.state.outcome in ENDS

    async def _refuse(self, command: GenerateText) -> None:
        """The end could not be recorded now: say so before any engine is called, and record that later."""
        now = self.clock.now()
        failure = failure_of(RecordsUnavailable())
        frames = [Ended(0, Outcome.FAILED, {}, {}, Tokens(), failure)]
        self.listeners.send(command.reply_to, command.request_id, list(frames))
        end = End(
            command, 1, Outcome.FAILED, Tokens(), Place(command.model), now, now, failure=failure, frames=list(frames)
        )
        await self.records.finish(end)

    async def _answer(self, run: Run) -> None:
        try:
            end = await Attempt(self, run).made()
        except Superseded:  # an ack here would take the command from the attempt that goes on
            raise HandBack(AGAIN_SECONDS) from None
        await self._conclude(run, end)

    async def _conclude(self, run: Run, end: End) -> None:
        """Record the end, then tell the client; a loser tells the winner's end, and books its own cost."""
        loop, alarms = asyncio.get_running_loop(), self.shared.timers.alarms
        async with asyncio.timeout(None) as bound:
            unrecorded = partial(self._tell_unrecorded, run, end, bound)
            alarm = alarms.set(loop.time() + self.unrecorded_after, unrecorded)
            try:
                won = await self.records.finish(end)
            finally:
                alarm.cancel()
        if won:
            run.say_end(end.frames)
            return
        await self.records.cost(end)
        if not await self.repeat_end(run.command):  # the attempt that claimed the row may have handed it back since
            raise HandBack(AGAIN_SECONDS)

    def _tell_unrecorded(self, run: Run, end: End, bound: asyncio.Timeout) -> None:
        """The client need not wait for the record; whoever handles the command does until its deadline."""
        ended = msgspec.structs.replace(end.ended, outcome=Outcome.FAILED.value, failure=failure_of(Unrecorded()))
        if not run.suspect:
            run.say_end([ended])
        left = (run.command.deadline - self.clock.now()).total_seconds()
        bound.reschedule(asyncio.get_running_loop().time() + max(left, 1.0))

    async def bury(self, command: GenerateText, failure: Failure) -> None:
        """A command that could not be handled ends as failed, and its client hears it.

        It is claimed first: whatever attempt the row names, and whether or not its process lives, this end is newer.
        """
        attempt = await self.records.claim(command, self.process)
        if attempt is None:
            await self.repeat_end(command)
            return
        buried = Decision("generate", "buried", failure.code)
        end = ungenerated(command, Outcome.FAILED, buried, self.clock.now(), failure, attempt)
        if await self.records.finish(end):
            self.listeners.send(command.reply_to, command.request_id, end.frames)
        else:
            await self.repeat_end(command)


def since_sent(needs: Needs, command: GenerateText) -> float:
    """Seconds since the command was sent: one that had waited in a queue was accepted long before."""
    return (needs.clock.now() - (command.sent_at or command.accepted_at)).total_seconds()
