"""Clients that remember every word: they read events raw, come back with the last id, and never guess."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.chaos.history import Ending, Habit, Heard, Plan, Story
from tests.chaos.reading import DONE
from tests.chaos.script import CALL_NAME
from tests.support.api import USER, bearer

WHOLE = 2.5  # times the patience with a stream that one has with an answer that comes in one piece
AGAIN = 0.3  # seconds between two attempts to connect
TRY_AGAIN = (503, 504)  # statuses that say that it is only now that it can't be had
SIP, SIP_PAUSE, SIPS = 2048, 0.15, 60
"""How a slow client reads: bytes at a time, seconds between, times until it has had enough of that."""
TOOLS = [{"type": "function", "function": {"name": CALL_NAME, "parameters": {"type": "object", "properties": {}}}}]
STOPPING = '"code":"api.stopping"'
CUT = (aiohttp.ClientError, ConnectionError, TimeoutError, asyncio.IncompleteReadError)


@dataclass(frozen=True, slots=True)
class Place:
    """Where clients live."""

    session: aiohttp.ClientSession
    apis: list[str]
    """Base URLs of the replicas."""
    now: Callable[[], float]
    """Seconds since the run began."""
    chance: random.Random
    patience: float
    """Seconds of silence, or of refusals, after which a client calls an accepted answer lost."""

    def replica(self) -> str:
        """One of them."""
        return self.chance.choice(self.apis)


def make_session(patience: float) -> aiohttp.ClientSession:
    """A connection for each request, so that none is cut that was not asked for anything."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=patience)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, headers=bearer(USER), read_bufsize=16 * 1024)


@dataclass
class Conversation:
    """One client with its one request."""

    place: Place
    story: Story
    _last: float = 0.0
    """When something was heard last."""
    _rest: bytes = b""
    _deleting: "asyncio.Task[None] | None" = None
    _sent_away: bool = False
    """Whether the process said that it stops: another one goes on from where it was."""

    async def run(self) -> Story:
        """Ask, read, come back as often as it takes."""
        story = self.story
        story.began = self.place.now()
        try:
            await self._ask()
            if story.request_id and story.plan.streamed:
                await self._come_back()
        finally:
            if self._deleting:
                self._deleting.cancel()
        story.ended = self.place.now()
        return story

    @property
    def _over(self) -> bool:
        return self.story.ending is not Ending.UNKNOWN

    async def _ask(self) -> None:
        """Until the request is accepted, refused, or its fate can't be known."""
        story, end = self.story, self.place.now() + self.place.patience
        while not self._over and not story.request_id:
            try:
                await self._post()
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                self._note(error)
                if self.place.now() > end:
                    story.ending = Ending.REFUSED
            except TimeoutError as error:
                self._note(error)
                story.ending = Ending.UNKNOWN if story.request_id else Ending.HANGING
            except CUT as error:
                self._note(error)
                if not story.plan.named:
                    return
            await asyncio.sleep(AGAIN)

    async def _post(self) -> None:
        plan, story = self.story.plan, self.story
        url = f"{self.place.replica()}/v1/chat/completions"
        whole = aiohttp.ClientTimeout(total=WHOLE * self.place.patience)
        timeout = self.place.session.timeout if plan.streamed else whole
        async with self.place.session.post(
            url, json=body_of(plan), headers=headers_of(plan), timeout=timeout
        ) as answer:
            if answer.status != 200:
                if plan.named and STOPPING in await answer.text():
                    return
                story.body, story.ending = await answer.text(), Ending.REFUSED
                story.request_id = answer.headers.get("x-request-id", "")
                self._note(answer.status, story.body[:200])
            elif plan.streamed:
                story.request_id = answer.headers["x-request-id"]
                await self._read(answer)
            else:
                story.body = await answer.text()
                story.request_id, story.ending = answer.headers["x-request-id"], Ending.DONE

    async def _come_back(self) -> None:
        """Have the answer go on until it ends, or for as long as anyone would try."""
        story, end = self.story, self.place.now() + self.place.patience
        while not self._over:
            heard = len(story.heard)
            try:
                await self._resume()
            except CUT as error:
                self._note(error)
            if len(story.heard) > heard:
                end = self.place.now() + self.place.patience
            if self.place.now() > end and not self._over:
                story.ending = Ending.HANGING
            await asyncio.sleep(AGAIN)

    async def _resume(self) -> None:
        story = self.story
        headers = {"last-event-id": story.heard[-1].id} if story.heard else {}
        url = f"{self.place.replica()}/api/v1/inference/{story.request_id}/stream"
        async with self.place.session.get(url, headers=headers) as answer:
            if answer.status == 200:
                story.resumed += 1
                self._rest = b""
                await self._read(answer)
                return
            self._note(answer.status, (await answer.text())[:200])
            if answer.status not in TRY_AGAIN:
                story.ending = Ending.CUT

    async def _read(self, answer: aiohttp.ClientResponse) -> None:
        """Until the end, the cut, or the moment to leave."""
        self._last = self._last or self.place.now()
        plan, sips, self._sent_away = self.story.plan, 0, False
        while not self._over:
            slow = plan.habit is Habit.SLOW and (sips := sips + 1) < SIPS
            data = await answer.content.read(SIP if slow else 1 << 16)
            if not data:
                self.story.clean_cuts += not (self._over or self._sent_away)
                return self._note("the stream ended without an end")
            self._take(data)
            if slow:
                await asyncio.sleep(SIP_PAUSE)
            if len(self.story.heard) >= plan.turn and await self._turn(answer):
                return None
        return None

    def _take(self, data: bytes) -> None:
        now, story = self.place.now(), self.story
        story.silence = max(story.silence, now - self._last)
        self._last = now
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            fields = dict(line.split(": ", 1) for line in event.decode().split("\n") if ": " in line)
            if STOPPING in fields.get("data", ""):
                self._sent_away = True
            elif "data" in fields:
                story.heard.append(Heard(now, fields.get("id", ""), fields["data"]))
                self._ending(fields["data"])

    def _ending(self, data: str) -> None:
        if data == DONE:
            self.story.ending = Ending.DONE
        elif data.startswith('{"error"'):
            self.story.ending = Ending.FAILED

    async def _turn(self, answer: aiohttp.ClientResponse) -> bool:
        """What it meant to do at this moment, once; True where it left."""
        plan, story = self.story.plan, self.story
        if plan.habit is Habit.STOPS and not story.stopped:
            story.stopped = True
            self._deleting = asyncio.create_task(self._delete())
        if plan.habit is not Habit.LEAVES or story.left or self._over:
            return False
        story.left = True
        answer.close()
        await asyncio.sleep(plan.pause)
        self._last = self.place.now()
        return True

    async def _delete(self) -> None:
        """Until someone says that it is stopped."""
        while True:
            url = f"{self.place.replica()}/api/v1/inference/{self.story.request_id}"
            try:
                async with self.place.session.delete(url) as answer:
                    self._note("DELETE", answer.status)
                    if answer.status < 300:
                        return
            except CUT as error:
                self._note("DELETE", error)
            await asyncio.sleep(AGAIN)

    def _note(self, *what: Any) -> None:
        said = " ".join(str(each) or type(each).__name__ for each in what)
        self.story.connections.append(f"{self.place.now():.1f} {said}")


def body_of(plan: Plan) -> dict[str, Any]:
    """The request's JSON."""
    order = plan.order
    body: dict[str, Any] = {
        "model": plan.model,
        "messages": [{"role": "user", "content": order.prompt()}],
        "temperature": 0,
        "n": order.choices,
        "stream": plan.streamed,
    }
    if plan.streamed:
        body["stream_options"] = {"include_usage": True}
    return body | ({"tools": TOOLS} if order.calls_tool else {})


def headers_of(plan: Plan) -> dict[str, str]:
    """The request's own headers."""
    named = {"idempotency-key": plan.order.key} if plan.named else {}
    return named | {"x-penstock-on-disconnect": "continue" if plan.keeps_on else "cancel"}
