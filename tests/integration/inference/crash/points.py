"""The durable steps of one delivery, found by watching what a process writes and says about its request.

A step's points are named after it: `<step> before` and `<step> after`; a step that is repeated counts once.
"""

import inspect
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any
from weakref import WeakSet

import asyncpg
from sqlalchemy import TextClause, event

from penstock_common.contracts.stream import Beat, Ended, unpack
from penstock_common.db.outbox import OutboxRow
from penstock_common.messaging.ports import Incoming, Outgoing
from penstock_common.messaging.topology import Topic
from penstock_inference.adapters import statements
from penstock_inference.app import App
from penstock_inference.domain.catalogue import Model

NAMED: dict[object, str] = {
    id(value): name.lower() for name, value in vars(statements).items() if isinstance(value, TextClause)
} | dict.fromkeys((statements.FINISH, statements.FINISH_ONE), "finish")
WRITES = re.compile(r"(insert into|update|delete from) ([\w.]+)")
SETTLED = ("ack", "hand_back", "retry", "bury")
Label = Callable[..., str | None]


class Points:
    """Notes each point that is reached in a file, and dies of SIGKILL at one."""

    def __init__(self, notes: Path, die_at: str = "", pause_at: str = "") -> None:
        self.notes, self.die_at, self.pause_at = notes, die_at, pause_at
        self.own = ""
        """The request that this process was given; nothing counts before."""
        self._seen: set[str] = set()
        self._rows: set[str] = set()
        """Its outbox rows."""
        self._writing: WeakSet[Any] = WeakSet()

    def passed(self, point: str) -> None:
        """A point is reached. Where this process is to pause, everything in it stands still until it may go on."""
        if not self.own or point in self._seen:
            return
        self._seen.add(point)
        with (self.notes / "points").open("a") as file:
            file.write(f"{point}\n")
        if point == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        while point == self.pause_at and not (self.notes / "resume").exists():
            time.sleep(0.01)

    def watch(self, app: App, model: Model) -> None:
        """Count what an app does; `model` is one of the simulated engine."""
        database = app.foundation.database
        engine = database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", self._executing)
        event.listen(engine, "after_cursor_execute", self._executed)
        event.listen(engine, "commit", self._committing)
        self._around(asyncpg.Connection, "fetch", lambda _, statement, *given: self._step(statement, given, statement))
        self._around(database, "offer", self._offered)
        self._around(app.bus, "publish", self._published)
        self._around(app.bus, "publish_all", self._published_all)
        self._around(app.bus, "send", self._sent)
        self._around(app.bus, "query", self._asked)
        self._around(app.bus, "broadcast", self._asked)
        for name in SETTLED:
            self._around(app.bus.settler, name, lambda message, *_, name=name: self._settled(name, message))
        self._around(app.registry, "on_cancel", lambda cancel: "stop" if str(cancel.request_id) == self.own else None)
        record: Any = app.engines.for_model(model)
        self._around(record.record, "open", lambda *_: "engine call")

    def _around(self, owner: Any, name: str, label: Label) -> None:
        """Make a call of `owner` two points, before and after it."""
        call = getattr(owner, name)

        @wraps(call)
        async def waited(*given: Any, **named: Any) -> Any:
            step = label(*given)
            self._reached(step, "before")
            try:
                return await call(*given, **named)
            finally:
                self._reached(step, "after")

        @wraps(call)
        def direct(*given: Any, **named: Any) -> Any:
            step = label(*given)
            self._reached(step, "before")
            try:
                return call(*given, **named)
            finally:
                self._reached(step, "after")

        setattr(owner, name, waited if inspect.iscoroutinefunction(call) else direct)

    def _reached(self, step: str | None, when: str) -> None:
        if step:
            self.passed(f"{step} {when}")

    def _offered(self, rows: list[OutboxRow]) -> None:
        self._rows |= {str(row.id) for row in rows if self._is_own(row.outgoing.message_id)}

    def _published(self, message: Outgoing, *_: Any) -> str | None:
        return f"publish {message.subject}" if self._is_own(message.message_id) else None

    def _published_all(self, messages: Sequence[Outgoing], *_: Any) -> str | None:
        return next(filter(None, map(self._published, messages)), None)

    def _sent(self, _: str, key: str, body: bytes) -> str | None:
        if key != self.own:
            return None
        frames = unpack(body)
        if any(isinstance(frame, Ended) for frame in frames):
            return "end sent"
        return None if all(isinstance(frame, Beat) for frame in frames) else "text sent"

    def _asked(self, topic: Topic, body: bytes, *_: Any) -> str | None:
        return topic.subject if self._is_own(body.decode(errors="replace")) else None

    def _settled(self, how: str, message: Incoming) -> str | None:
        return how if self._is_own(message.message_id) or self._is_own(message.body.decode(errors="replace")) else None

    def _is_own(self, text: str) -> bool:
        return bool(self.own) and self.own in text

    def _step(self, statement: str, given: Any, known_as: object) -> str | None:
        """The name of a statement that writes something about the request."""
        written = WRITES.search(statement)
        if not written or not self.own:
            return None
        told = repr(given)
        if not self._is_own(told) and not any(row in told for row in self._rows):
            return None
        return NAMED.get(known_as) or written[0]

    def _executing(self, _: Any, __: Any, statement: str, given: Any, context: Any, ___: Any) -> None:
        self._reached(self._step(statement, given, id(context.invoked_statement)), "before")

    def _executed(self, connection: Any, _: Any, statement: str, given: Any, context: Any, __: Any) -> None:
        if step := self._step(statement, given, id(context.invoked_statement)):
            if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
                self._writing.add(connection)
            self.passed(f"{step} after")

    def _committing(self, connection: Any) -> None:
        if connection in self._writing:
            self._writing.discard(connection)
            self.passed("commit before")
            connection.connection.dbapi_connection.commit()
            self.passed("commit after")
