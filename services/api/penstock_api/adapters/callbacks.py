"""Posts the ends of requests to the URLs that their clients named, at least once each."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import Row

from penstock_api import metrics
from penstock_api.adapters.callback_table import LOOK_SECONDS, CallbackTable
from penstock_api.adapters.completion_hooks import event_of
from penstock_api.domain.callbacks import PAUSES, Callback, CallbackState, callback_key, state_after
from penstock_api.domain.errors import CRASHED, InvalidRequest
from penstock_common.clock import Clock
from penstock_common.contracts.runs import DEPTH_HEADER
from penstock_common.errors import PenstockError
from penstock_common.guarded_http import GuardedHttp, Policy, ToolRequest
from penstock_common.guarded_http.client import checked_url
from penstock_common.guarded_http.errors import ToolCallInvalid
from penstock_common.sealing import Sealer
from penstock_common.standard_webhooks import signed_headers

log = structlog.get_logger()

POST_SECONDS = 10.0
STOP_SECONDS = 2.0
AT_ONCE = 16
OF_ONE = 4
"""Posts under way of one project."""


def context_of(request_id: UUID) -> str:
    """Under which a URL and its secret are sealed."""
    return f"callback:{request_id}"


def check_callback(callback: Callback, policy: Policy) -> None:
    """Raises InvalidRequest, naming the member; a name's addresses are looked at when it is posted to."""
    callback_key(callback.secret)
    try:
        host = checked_url(callback.url).host or ""
    except ToolCallInvalid as error:
        problem = "`webhook.url` must be http:// or https:// and a host, without spaces, user or password."
        raise InvalidRequest(problem, "webhook.url") from error
    with suppress(ValueError):  # a name
        if not policy.permits(host, host):
            problem = "`webhook.url` is not at a public address; the operator may allow it to be called."
            raise InvalidRequest(problem, "webhook.url")


@dataclass
class Callbacks:
    """Looks for ends that are to be posted; what a killed process had claimed, another posts after the lease."""

    table: CallbackTable
    sealer: Sealer
    http: GuardedHttp
    clock: Clock
    pauses: Sequence[float] = PAUSES
    _posts: dict[asyncio.Task[None], UUID] = field(default_factory=dict, init=False)
    """Under way, with their projects."""
    _room: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin to look."""
        self.table.ripening.start()
        self.table.sweeping.start()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Begin no more posts; those under way have two seconds, then another process repeats them."""
        await self.table.ripening.stop()
        await self.table.sweeping.stop()
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if posts := list(self._posts):
            await asyncio.wait(posts, timeout=STOP_SECONDS)
            for post in posts:
                post.cancel()
            await asyncio.gather(*posts, return_exceptions=True)

    async def look(self) -> None:
        """Claim what is due as far as there is room, and begin to post it. Raises DatabaseUnavailable."""
        room = AT_ONCE - len(self._posts)
        if room <= 0:
            return
        busy = [tenant for tenant, count in Counter(self._posts.values()).items() if count >= OF_ONE]
        for row in await self.table.claim(room, OF_ONE, busy):
            post = asyncio.create_task(self._tell(row))
            self._posts[post] = row.tenant
            post.add_done_callback(self._done)

    async def _run(self) -> None:
        """Whenever a post has ended there is room for another."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._room.wait()
            try:
                self._room.clear()
                await self.look()
            except PenstockError as error:
                log.warning("callbacks.unlooked", reason=error.message)
                await asyncio.sleep(LOOK_SECONDS)
            except Exception:
                log.exception("callbacks.unlooked")
                await asyncio.sleep(LOOK_SECONDS)

    def _done(self, post: asyncio.Task[None]) -> None:
        self._posts.pop(post)
        self._room.set()
        if not post.cancelled() and (error := post.exception()):
            log.warning("callback.unsettled", error=type(error).__name__)  # it is posted again after the lease

    async def _tell(self, row: Row[Any]) -> None:
        """Raises DatabaseUnavailable."""
        status, problem = await self._post(row)
        state = state_after(status, row.attempts, len(self.pauses) + 1)
        pause = self.pauses[row.attempts - 1] if state is CallbackState.DUE else None
        await self.table.settle(row, state, problem, pause)
        outcome = "repeated" if state is CallbackState.DUE else state.value
        metrics.CALLBACKS.labels(outcome).inc()
        tell = log.info if state is CallbackState.DELIVERED else log.warning
        tell("callback.posted", request_id=str(row.request_id), outcome=outcome, attempts=row.attempts, problem=problem)

    async def _post(self, row: Row[Any]) -> tuple[int, str]:
        """The status that was answered, and what is wrong with it; 0 for no answer."""
        id_, body = str(row.request_id), msgspec.json.encode(event_of(row))
        try:
            opened = self.sealer.open(context_of(row.request_id), bytes(row.sealed))
            callback = msgspec.json.decode(opened, type=Callback)
            headers = signed_headers(callback_key(callback.secret), id_, int(self.clock.now().timestamp()), body)
            headers |= {"content-type": "application/json", DEPTH_HEADER: str(row.depth)}
            request = ToolRequest("POST", callback.url, headers, body, follow=False, reads_body=False)
            status = (await self.http.call(request, POST_SECONDS)).status
        except PenstockError as error:
            return 0, error.code
        except Exception as error:  # whatever it is, it must not be tried for ever
            log.warning("callback.crashed", request_id=id_, error=type(error).__name__)
            return 0, CRASHED.code
        return status, "" if 200 <= status < 300 else f"status {status}"
