"""The durable steps of one piece of work, found by watching what a process writes and says about it.

A step's points are named after it: `<step> before` and `<step> after`. What is only read, or is about other work, is no
step: a death there leaves what a death at the point before it leaves.
"""

import inspect
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any
from weakref import WeakSet

import asyncpg
from sqlalchemy import event

from penstock_common.db.outbox import OutboxRow
from penstock_common.db.transaction import Database
from penstock_common.messaging.ports import Bus, Incoming, Outgoing
from penstock_common.messaging.topology import Topic

WRITES = re.compile(r"(insert into|update|delete from) (\w+\.\w+)")
SETTLED = ("ack", "hand_back", "retry", "bury", "_move")
"""What a settler does; `_move` publishes a delivery's next life in the midst of it."""
Label = Callable[..., str | None]


class Points:
    """Notes each point that is reached in a file, and dies of SIGKILL at one."""

    def __init__(self, notes: Path, die_at: str = "", pause_at: str = "") -> None:
        self.notes, self.die_at, self.pause_at = notes, die_at, pause_at
        self.own = ""
        """The id that the work is about; nothing counts before it is set."""
        self.names: Mapping[object, str] = {}
        """What statements are called, by themselves or by the id of their clause; others after what they write."""
        self.counts_repeats = False
        """Whether a step that is repeated has points of its own each time (`<step> 2 before`), or counts once."""
        self._seen: set[str] = set()
        self._times: Counter[str] = Counter()
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

    def adopt(self, rows: Iterable[str]) -> None:
        """Outbox rows are its own from now on, whoever wrote them."""
        self._rows |= set(rows)

    def watch(self, database: Database, bus: Bus) -> None:
        """Count what a process writes and says."""
        engine = database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", self._executing)
        event.listen(engine, "after_cursor_execute", self._executed)
        event.listen(engine, "commit", self._committing)
        self.around(asyncpg.Connection, "fetch", lambda _, statement, *given: self._step(statement, given, statement))
        self.around(database, "offer", self._offered)
        self.around(bus, "publish", self._published)
        self.around(bus, "publish_all", self._published_all)
        self.around(bus, "query", self._asked)
        self.around(bus, "broadcast", self._asked)
        for name in SETTLED:
            self.around(bus.settler, name, lambda *given, name=name: self._settled(name.strip("_"), given))

    def around(self, owner: Any, name: str, label: Label) -> None:
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

    def is_own(self, text: str) -> bool:
        """Whether a text is about the work."""
        return bool(self.own) and self.own in text

    def _reached(self, step: str | None, when: str) -> None:
        if not step:
            return
        self._times[f"{step} {when}"] += 1
        turn = self._times[f"{step} {when}"] if self.counts_repeats else 1
        self.passed(f"{step} {when}" if turn == 1 else f"{step} {turn} {when}")

    def _offered(self, rows: Sequence[OutboxRow]) -> None:
        self._rows |= {str(row.id) for row in rows if self._is_about(row.outgoing)}

    def _published(self, message: Outgoing, *_: Any) -> str | None:
        return f"publish {message.subject}" if self._is_about(message) else None

    def _published_all(self, messages: Sequence[Outgoing], *_: Any) -> str | None:
        return next(filter(None, map(self._published, messages)), None)

    def _asked(self, topic: Topic, body: bytes, *_: Any) -> str | None:
        return topic.subject if self.is_own(body.decode(errors="replace")) else None

    def _settled(self, how: str, given: Sequence[Any]) -> str | None:
        messages = (each for each in given if isinstance(each, Outgoing | Incoming))
        return how if any(map(self._is_about, messages)) else None

    def _is_about(self, message: Outgoing | Incoming) -> bool:
        return self.is_own(message.message_id) or self.is_own(message.body.decode(errors="replace"))

    def _step(self, statement: str, given: Any, known_as: object) -> str | None:
        """The name of a statement that writes something about the work."""
        written = WRITES.search(statement)
        if not written or not self.own:
            return None
        told = repr(given)
        if not self.is_own(told) and not any(row in told for row in self._rows):
            return None
        return self.names.get(known_as) or written[0]

    def _executing(self, _: Any, __: Any, statement: str, given: Any, context: Any, ___: Any) -> None:
        self._reached(self._step(statement, given, id(context.invoked_statement)), "before")

    def _executed(self, connection: Any, _: Any, statement: str, given: Any, context: Any, __: Any) -> None:
        if step := self._step(statement, given, id(context.invoked_statement)):
            if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
                self._writing.add(connection)
            self._reached(step, "after")

    def _committing(self, connection: Any) -> None:
        if connection in self._writing:
            self._writing.discard(connection)
            self._reached("commit", "before")
            connection.connection.dbapi_connection.commit()
            self._reached("commit", "after")
