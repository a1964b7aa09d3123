"""What clients ask for beside chats: requests answered later, runs of tasks, ticks of schedules, documents."""

import asyncio
import base64
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.chaos.client import AGAIN, CUT, Place
from tests.chaos.equipment import VECTORS, VERIFIED
from tests.chaos.receiver import Receiver
from tests.chaos.script import Order

TASK, COUNTED = "errand", "errands"
SCHEDULES, EVERY = 2, 5  # schedules, and seconds between two of their ticks
SECRET = "whsec_" + base64.b64encode(b"turbines" * 4).decode()
PAUSES = {"submission": 1.5, "run": 1.5, "document": 4.0}
"""Seconds between two errands of a kind."""
TRY_AGAIN = (429, 503, 504)


@dataclass(slots=True)
class Accepted:
    """What was answered 202, by id; ids of documents, too."""

    submissions: dict[str, Order] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    """Run id → its number, which its tool hears."""
    schedules: list[str] = field(default_factory=list)
    base: str = ""
    """The knowledge base."""
    documents: dict[str, str] = field(default_factory=dict)
    """Document id → the word that only it has."""


class Errands:
    """Whoever runs them. Each is asked for under a name of its own until it is accepted."""

    def __init__(self, place: Place, seed: int, receiver: Receiver) -> None:
        self.place, self.seed, self.receiver = place, seed, receiver
        self.accepted = Accepted()
        self.wrong: list[str] = []
        """Answers that no fault explains."""
        self._numbers = itertools.count()

    async def prepare(self) -> None:
        """What the errands need, before anything is broken."""
        await self._insist("PUT", f"/api/v1/tasks/{TASK}", self._task())
        base = await self._insist("POST", "/api/v1/knowledge-bases", {"name": "chaos", "model": VECTORS})
        self.accepted.base = base["id"] if base else ""
        for number in range(SCHEDULES):
            wanted = {"name": f"beat {number}", "task": TASK, "every_seconds": EVERY, "misfire": "all"}
            made = await self._insist("POST", "/api/v1/schedules", wanted | {"input": {"number": f"tick-{number}"}})
            self.accepted.schedules += [made["id"]] if made else []

    async def run(self, seconds: float) -> None:
        """Until so many seconds of the run are over; then the schedules are removed."""
        kinds = {"submission": self._submit, "run": self._start, "document": self._upload}
        await asyncio.gather(*(self._again(act, PAUSES[kind], seconds) for kind, act in kinds.items()))
        for schedule in self.accepted.schedules:
            await self._insist("DELETE", f"/api/v1/schedules/{schedule}")

    async def _again(self, act: Callable[[str], Awaitable[None]], pause: float, seconds: float) -> None:
        while self.place.now() < seconds:
            await act(f"{self.seed}-errand-{next(self._numbers)}")
            await asyncio.sleep(pause)

    async def _submit(self, key: str) -> None:
        order = Order(key=key, words=6, pace=8.0)
        chat = {"model": VERIFIED, "messages": [{"role": "user", "content": order.prompt()}], "temperature": 0}
        webhook = {"url": f"{self.receiver.url}/ended", "secret": SECRET}
        told = await self._insist("POST", "/api/v1/inference", {"request": chat, "webhook": webhook}, key)
        if told:
            self.accepted.submissions[told["id"]] = order

    async def _start(self, key: str) -> None:
        told = await self._insist("POST", "/api/v1/runs", {"task": TASK, "input": {"number": key}}, key)
        if told:
            self.accepted.runs[told["id"]] = key

    async def _upload(self, key: str) -> None:
        word = f"penstock{key.replace('-', '')}"
        text = f"Chapter {key}. The gate {word} is opened by hand. " + "Water runs down the pipe. " * 100
        path = f"/api/v1/knowledge-bases/{self.accepted.base}/documents?name={key}.txt"
        told = await self._insist("POST", path, text.encode())
        for document in told["documents"] if told else ():
            self.accepted.documents[document["id"]] = word

    def counts(self) -> dict[str, int]:
        """How many of each were accepted."""
        accepted = self.accepted
        return {
            "submissions": len(accepted.submissions),
            "runs": len(accepted.runs),
            "schedules": len(accepted.schedules),
            "documents": len(accepted.documents),
        }

    def _task(self) -> dict[str, Any]:
        """Calls a tool, asks a model, and counts."""
        order = Order(key=f"{self.seed}-task", words=3, pace=20.0)
        messages = [{"role": "user", "content": order.prompt()}]
        tool = {"url": f"{self.receiver.url}/tool/{{{{ run.id }}}}", "method": "POST", "body": "{{ input.number }}"}
        patient = {"retries": 8, "timeout": 120}
        return {
            "steps": [
                {"name": "call", "kind": "http", **patient} | tool,
                {"name": "ask", "kind": "model", "model": VERIFIED, "messages": messages, **patient},
                {"name": "count", "kind": "state", "key": COUNTED, "add": {"runs": 1}},
            ],
            "output": {"place": "{{ steps.count.output.after.runs }}", "said": "{{ steps.ask.output.text }}"},
        }

    async def _insist(self, method: str, path: str, body: Any = None, key: str = "") -> dict[str, Any] | None:
        """What is answered at last; None where it is not in a client's patience, or refused for good."""
        end = self.place.now() + self.place.patience
        headers = {"idempotency-key": key} if key else {}
        given: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        while self.place.now() < end:
            try:
                url = f"{self.place.replica()}{path}"
                async with self.place.session.request(method, url, headers=headers, **given) as answer:
                    if answer.status < 300:
                        return await answer.json() if answer.content_type == "application/json" else {}
                    if answer.status not in TRY_AGAIN:
                        self.wrong.append(f"{method} {path}: {answer.status} {(await answer.text())[:300]}")
                        return None
            except (*CUT, aiohttp.ClientPayloadError):
                pass
            await asyncio.sleep(AGAIN)
        return None
