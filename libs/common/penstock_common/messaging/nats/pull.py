"""Pulls a durable consumer: exactly as many messages as there are free slots."""

import asyncio
import contextlib
import json
import time
from typing import Any

import structlog
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import Error

from penstock_common.errors import BusUnavailable
from penstock_common.messaging.nats.client import Raw, Take
from penstock_common.messaging.nats.connection import Connection
from penstock_common.messaging.nats.protocol import DESCRIPTION, STATUS, headers_of

log = structlog.get_logger()

EXPIRES = 2.0  # seconds; a frozen process's open request swallows deliveries for that long
IDLE_BEAT = 1.0
SILENCE = 2.5  # without a word for that long while a request is open, it is lost
WATCH = 0.5


class SlotPull:
    """A standing request on an inbox of its own, made anew when the server is silent or was restarted."""

    def __init__(self, connection: Connection, stream: str, durable: str, slots: int) -> None:
        self._connection, self._slots = connection, slots
        self._name = durable
        self._api = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._busy = self._asked = 0
        self._heard = time.monotonic()
        self._open = True
        self._lost = False
        self._subscription: NatsSubscription | None = None

    async def start(self, take: Take, refuse: Take) -> None:
        """Begin: `take` is given each message, until `free` is called for it; `refuse` those that came too late."""
        self._take, self._refuse = take, refuse
        self._connection.on_reconnect.add(self._renew)
        await self._renew()
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Receive no more; what was received but not begun is given back."""
        self._open = False
        self._connection.on_reconnect.discard(self._renew)
        self._watcher.cancel()
        assert self._subscription is not None
        with contextlib.suppress(Error, OSError, TimeoutError):
            if self._connection.client.is_connected:
                await asyncio.wait_for(self._subscription.drain(), 2)  # type: ignore[no-untyped-call]
            else:
                await self._subscription.unsubscribe()
        await asyncio.sleep(0)  # what was taken last has begun after this

    async def _renew(self) -> None:
        old, client = self._subscription, self._connection.client
        self._heard, self._asked = time.monotonic(), 0
        inbox = client.new_inbox()
        self._subscription = await client.take(inbox, self._on)
        self._inbox = inbox
        self._ask()
        if old:
            with contextlib.suppress(Error):
                await old.unsubscribe()

    def free(self, count: int) -> None:
        """So many messages were settled."""
        self._busy -= count
        self._ask()

    def _on(self, raw: Raw) -> None:
        self._heard = time.monotonic()
        if not raw.reply:
            return self._on_status(headers_of(raw.head))
        self._found()
        self._asked = max(0, self._asked - 1)
        if not self._open:
            return self._refuse(raw)
        self._busy += 1
        return self._take(raw)

    def _on_status(self, headers: dict[str, str]) -> None:
        status = headers.get(STATUS)
        if status == "100":  # idle heartbeat
            return self._found()
        self._asked = max(0, self._asked - int(headers.get("nats-pending-messages", self._asked)))
        if status in ("404", "408"):  # the request ended in the ordinary way
            self._found()
            self._ask()
        elif not self._lost:  # the watch asks again
            self._lost = True
            log.error("consumer.lost", consumer=self._name, status=status, reason=headers.get(DESCRIPTION, ""))
        return None

    def _found(self) -> None:
        if self._lost:
            self._lost = False
            log.info("consumer.found", consumer=self._name)

    def _ask(self) -> None:
        free = self._slots - self._busy - self._asked
        if not self._open or free <= 0 or (self._asked and free < self._slots // 2):
            return
        ask: dict[str, Any] = {"batch": free, "expires": int(EXPIRES * 1e9), "idle_heartbeat": int(IDLE_BEAT * 1e9)}
        with contextlib.suppress(BusUnavailable):  # the watch repeats it
            self._connection.post(self._api, json.dumps(ask).encode(), self._inbox)
            if not self._asked:  # while all slots were busy there was nobody to be silent
                self._heard = time.monotonic()
            self._asked += free

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH)
            if not self._connection.client.is_connected:
                self._heard = time.monotonic()
            elif self._asked and time.monotonic() - self._heard > SILENCE:
                log.warning("consumer.silent", consumer=self._name)
                with contextlib.suppress(Error, OSError):
                    await self._renew()
            else:
                self._ask()
