"""Inference processes that die of SIGKILL at a point of what the queue does."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import event

from penstock_common.db.outbox import OutboxRow
from penstock_common.messaging.ports import Incoming, Outgoing
from penstock_common.service import begin
from penstock_inference.app import App
from tests.support.inference import make_inference

STATEMENTS = {
    "queued, not committed": "insert into inference.queue (",
    "turn given, not committed": "update inference.queue set dispatched_at",
    "turn over, not committed": "delete from inference.queue q where",
    "expired forgotten, not committed": "delete from inference.queue where request_id",
}
ACKS = {"queued, not acknowledged": ".queue", "turn answered, not acknowledged": ".batch"}
POINTS = (
    "queued, not committed",
    "queued, not acknowledged",
    "turn given, not committed",
    "turn given, not published",
    "turn published, not marked",
    "turn answered, not acknowledged",
    "turn over, not committed",
    "turn over, committed",
)
EXPIRED = ("end of expired recorded", "expired forgotten, not committed", "expired forgotten, committed")
LIFE_SECONDS = 60


def die(*_: Any) -> None:
    """As kill -9 does it."""
    os.kill(os.getpid(), signal.SIGKILL)


class Dying:
    """The queue or the writer of ends, of which one call is the last."""

    def __init__(self, inner: Any, last: str, is_last: Callable[[Any], bool]) -> None:
        self._inner, self._last, self._is_last = inner, last, is_last

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._dying(found) if name == self._last else found

    def _dying(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def called(*given: Any) -> Any:
            result = await call(*given)
            if self._is_last(result):
                die()
            return result

        return called


def die_at(app: App, point: str) -> None:
    """Have an app die once it gets to a point."""
    dispatcher, needs = app.dispatcher, app.dispatcher.needs
    if fragment := STATEMENTS.get(point):

        def executed(_: Any, cursor: Any, statement: str, *__: Any) -> None:
            if fragment in statement and cursor.rowcount != 0:
                die()

        event.listen(app.database.engine.sync_engine, "after_cursor_execute", executed)
    elif suffix := ACKS.get(point):
        around(app.bus.settler, "ack", before=lambda *messages: any(is_of(message, suffix) for message in messages))
    elif point == "turn given, not published":
        around(app.database, "offer", before=lambda rows: any(is_of(row, ".batch") for row in rows))
    elif point == "turn published, not marked":
        around(app.bus, "publish_all", after=lambda messages, *_: any(is_of(message, ".batch") for message in messages))
    elif point == "turn over, committed":
        dispatcher.needs = replace(needs, queue=Dying(needs.queue, "dispatch", lambda sent: sent.ended > 0))
    elif point == "end of expired recorded":
        dispatcher.needs = replace(needs, ends=Dying(needs.ends, "finish", lambda _: True))
    else:
        assert point == "expired forgotten, committed", point
        dispatcher.needs = replace(needs, queue=Dying(needs.queue, "remove", lambda _: True))


def is_of(message: Incoming | Outgoing | OutboxRow, suffix: str) -> bool:
    """Whether a message is of this kind."""
    outgoing = message.outgoing if isinstance(message, OutboxRow) else message
    return outgoing.message_id.endswith(suffix)


def around(
    owner: Any,
    name: str,
    before: Callable[..., bool] = lambda *_: False,
    after: Callable[..., bool] = lambda *_: False,
) -> None:
    """Die before or after a call of these arguments."""
    call = getattr(owner, name)

    def begun(*given: Any, **named: Any) -> Any:
        if before(*given):
            die()
        return waited(given, named) if asyncio.iscoroutinefunction(call) else call(*given, **named)

    async def waited(given: Any, named: Any) -> Any:
        result = await call(*given, **named)
        if after(*given):
            die()
        return result

    setattr(owner, name, begun)


async def live(database: str, bus: str, folder: Path, point: str) -> None:
    """Work until the point comes."""
    app = make_inference(database, bus, folder, queue={"slots": 2})
    die_at(app, point)
    await begin(app)
    await asyncio.sleep(LIFE_SECONDS)
