"""Take-over: however many processes claim and end a request, one end counts, and every other attempt is booked."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from penstock_common.contracts.generation import GenerateText, Outcome
from penstock_inference.domain.ending import End
from tests.integration.inference.records.ends import an_end
from tests.integration.inference.records.store import Store
from tests.state_machines.machine import Machine
from tests.support.generation_fakes import a_command, a_sealer

WHICH = st.integers(0, 10**6)
PROCESS = st.integers(0, 1)
ROW = "select attempt, outcome from inference.generations where request_id = :id"


@dataclass
class Request:
    """A request as the model knows it."""

    command: GenerateText
    attempt: int = 0
    """The newest that its row knows; 0 where it has none."""
    ended: bool = False
    at_work: list[int] = field(default_factory=lambda: [1])
    """Attempts that some process makes, or believes to make."""
    said: Counter[str] = field(default_factory=Counter)
    """What its outbox has, by suffix."""

    def claimed(self) -> int | None:
        """The next claim's attempt; None where it ended."""
        if self.ended:
            return None
        self.attempt = self.attempt + 1 if self.attempt else 2
        self.at_work.append(self.attempt)
        self.said[f"{self.attempt - 1}.lost"] += 1
        return self.attempt

    def finished(self, attempt: int) -> bool:
        """Whether the end of an attempt counts."""
        if self.ended or attempt < self.attempt:
            return False
        self.attempt, self.ended = attempt, True
        self.said["completed"] += 1
        return True

    def confirmed(self, attempt: int) -> bool:
        """Whether an attempt may go on."""
        if self.ended or (self.attempt and self.attempt != attempt):
            return False
        self.attempt = attempt
        return True


class TakeOverMachine(Machine):
    """Two inference processes' records; `url` is their database."""

    url: ClassVar[str]
    keys: ClassVar[Path]

    async def open(self) -> None:
        """No request."""
        self.sealer = a_sealer(self.keys)
        self.stores = [await Store(self.url, self.sealer).__aenter__() for _ in range(2)]
        self.requests: list[Request] = []
        self.touched: Request | None = None

    async def close(self) -> None:
        """No connection is left."""
        for store in self.stores:
            await store.__aexit__()

    def request(self, which: int) -> Request:
        """One of them, which is looked at after the step."""
        self.touched = self.requests[which % len(self.requests)]
        return self.touched

    @rule()
    def accept(self) -> None:
        """A request; its first attempt begins, and writes nothing."""
        self.requests.append(Request(a_command(self.sealer)))

    @precondition(lambda self: self.requests)
    @rule(process=PROCESS, which=WHICH)
    def claim(self, process: int, which: int) -> None:
        """A process takes over."""
        request = self.request(which)
        assert self.run(self.stores[process].records.claim(request.command, str(process))) == request.claimed()

    @precondition(lambda self: self.requests)
    @rule(process=PROCESS, which=WHICH, attempt=WHICH)
    def confirm(self, process: int, which: int, attempt: int) -> None:
        """A process that was frozen asks whether it may go on."""
        request = self.request(which)
        number = request.at_work[attempt % len(request.at_work)]
        may = self.run(self.stores[process].records.confirm(request.command, number, str(process)))
        assert may == request.confirmed(number)

    @precondition(lambda self: self.requests)
    @rule(process=PROCESS, which=WHICH, attempt=WHICH)
    def finish(self, process: int, which: int, attempt: int) -> None:
        """An attempt ends, the newest or one long replaced."""
        request = self.request(which)
        number = request.at_work[attempt % len(request.at_work)]
        won = self.run(self._finish(process, an_end(request.command, number)))
        assert won == request.finished(number)
        if not won:
            request.said[f"{number}.costed"] += 1

    async def _finish(self, process: int, end: End) -> bool:
        records = self.stores[process].records
        won = await records.finish(end)
        if not won:
            await records.cost(end)
        return won

    @precondition(lambda self: self.requests)
    @rule(which=WHICH, attempt=WHICH)
    def finish_beside_a_claim(self, which: int, attempt: int) -> None:
        """Both at once: either comes first, and the other knows it."""
        request = self.request(which)
        number = request.at_work[attempt % len(request.at_work)]
        self.run(self._race(request, number))

    async def _race(self, request: Request, number: int) -> None:
        end = an_end(request.command, number, outcome=Outcome.SUCCEEDED)
        second = self.stores[1]
        won, claimed = await asyncio.gather(
            self._finish(0, end), second.records.claim(request.command, second.database.schema)
        )
        if claimed is None or claimed != (request.attempt + 1 if request.attempt else 2):
            assert request.finished(number) == won
            assert request.claimed() == claimed
        else:
            assert request.claimed() == claimed
            assert request.finished(number) == won
        if not won:
            request.said[f"{number}.costed"] += 1

    @precondition(lambda self: self.requests)
    @rule(which=WHICH, attempts=st.lists(WHICH, min_size=2, max_size=4))
    def finish_at_once(self, which: int, attempts: list[int]) -> None:
        """Several attempts end in the same moment, in two processes."""
        request = self.request(which)
        numbers = [request.at_work[n % len(request.at_work)] for n in attempts]
        self.run(self._finish_at_once(request, numbers))

    async def _finish_at_once(self, request: Request, numbers: list[int]) -> None:
        ends = [an_end(request.command, number) for number in numbers]
        won = await asyncio.gather(*(self._finish(n % 2, end) for n, end in enumerate(ends)))
        winners = [number for number, counts in zip(numbers, won, strict=True) if counts]
        able = not request.ended and any(number >= request.attempt for number in numbers)
        assert len(winners) == able
        for winner in winners:
            assert request.finished(winner)
        for number, counts in zip(numbers, won, strict=True):
            if not counts:
                request.said[f"{number}.costed"] += 1

    @invariant()
    def the_rows_are_the_model_s(self) -> None:
        """Each row has its newest attempt and at most one end, and its outbox says just what happened."""
        if self.touched:
            self.run(self._compare(self.touched))

    async def _compare(self, request: Request) -> None:
        id_ = request.command.request_id
        rows: list[Any] = await self.stores[0].rows(ROW, id=id_)
        expected = [(request.attempt, "succeeded" if request.ended else "running")] if request.attempt else []
        assert rows == expected
        assert Counter(await self.stores[0].said(id_)) == request.said

    async def settle(self) -> None:
        """Whoever has the newest attempt ends it: one end, whatever happened."""
        for request in self.requests:
            await self._compare(request)
            newest = max(request.at_work)
            await self._finish(0, an_end(request.command, newest))
            request.said["completed"] = 1
            said = Counter(await self.stores[0].said(request.command.request_id))
            assert said["completed"] == 1
