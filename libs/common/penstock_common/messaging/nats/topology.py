"""Creates and compares streams and consumers. The only code that may."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import nats
from nats.aio.client import Client
from nats.errors import Error
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, BadRequestError, NotFoundError

from penstock_common.errors import BusUnavailable, TopologyRefused
from penstock_common.messaging.nats.declared import Declared, declared
from penstock_common.messaging.ports import Look
from penstock_common.messaging.rebuilding import announcement
from penstock_common.messaging.topology import ACK_WAIT, Topic, Topology

ALREADY_MADE = 10058  # JetStream's code for a stream that somebody else made meanwhile
LOOK_SECONDS = 2.0


class ConsumerNames(msgspec.Struct, frozen=True):
    """JetStream's answer to the question for a stream's consumers; it has none where there is no stream."""

    error: msgspec.Raw = msgspec.Raw(b"")
    consumers: list[str] = []


@dataclass(frozen=True, slots=True)
class Change:
    """What differs on the server. `old` is empty where nothing is there yet."""

    thing: Declared
    old: dict[str, Any]

    def __str__(self) -> str:
        if not self.old:
            return f"create {self.thing}"
        changes = (f"{name} {_shown(old)} → {_shown(self.thing.settings[name])}" for name, old in self.old.items())
        return f"change {self.thing}: {', '.join(changes)}"

    @property
    def makes_stream(self) -> bool:
        """True where no message was kept: an older stream of that name is gone, or there never was one."""
        return not (self.thing.consumer or self.old)

    @property
    def loses(self) -> bool:
        """True where the server would delete stored messages, or stop delivering some without a word."""
        new = self.thing.settings
        shrinks = any(
            name in self.old and 0 < new[name] < self.old[name] for name in ("max_age", "max_bytes", "max_deliver")
        )
        return shrinks or bool(set(self.old.get("subjects") or ()) - set(new.get("subjects", ())))


class NatsTopology:
    """The topology job on NATS; `replicas` is the copies of each stream, 1 without a cluster."""

    def __init__(self, url: str, replicas: int = 1) -> None:
        self._url, self._replicas = url, replicas

    async def apply(self, topology: Topology, *, tell: bool = True) -> list[str]:
        """Make the server match, deleting nothing. Raises TopologyRefused before anything is changed."""
        async with self._client() as client:
            js = client.jetstream(timeout=10)
            changes = await self._changes(js, topology)
            if losing := [str(change) for change in changes if change.loses]:
                raise TopologyRefused(f"this would lose messages, do it by hand: {'; '.join(losing)}")
            await _perform_all(js, topology.rebuilt if tell else None, changes)
            return [str(change) for change in changes]

    async def diff(self, topology: Topology) -> list[str]:
        """What `apply` would do, without doing it."""
        async with self._client() as client:
            return [str(change) for change in await self._changes(client.jetstream(timeout=10), topology)]

    @asynccontextmanager
    async def looking(self, topology: Topology) -> AsyncIterator[Look]:
        """Connected; looking is one question a stream."""
        wanted: dict[str, set[str]] = {}
        for thing in declared(topology, self._replicas):
            wanted.setdefault(thing.stream, set()).update({thing.consumer} - {""})
        gone = asyncio.get_running_loop().create_future()

        async def closed() -> None:
            gone.cancel()

        async with self._client(closed) as client:

            async def lacks() -> bool:
                return not all([await _has(client, stream, names) for stream, names in wanted.items()])

            yield Look(lacks, gone)

    async def _changes(self, js: JetStreamContext, topology: Topology) -> list[Change]:
        if fast := [lane.name for lane in topology.lanes if lane.ack_wait < ACK_WAIT]:
            raise TopologyRefused(f"ack_wait is below {ACK_WAIT} s, which heartbeats are made for: {', '.join(fast)}")
        found = [(thing, await _current(js, thing)) for thing in declared(topology, self._replicas)]
        return [change for thing, current in found if (change := _compared(thing, current))]

    @asynccontextmanager
    async def _client(self, closed: Callable[[], Awaitable[None]] | None = None) -> AsyncIterator[Client]:
        try:
            client = await nats.connect(
                self._url,
                name="penstock topology",
                connect_timeout=2,
                allow_reconnect=False,
                error_cb=_silent,
                closed_cb=closed,
            )
        except (Error, OSError, TimeoutError) as error:
            raise BusUnavailable(f"NATS can't be reached: {error or type(error).__name__}") from error
        try:
            yield client
        except APIError as error:
            raise TopologyRefused(f"JetStream: {error.description} ({error.err_code})") from error
        except (Error, OSError, TimeoutError) as error:
            raise BusUnavailable(f"NATS: {error or type(error).__name__}") from error
        finally:
            await client.close()


async def _silent(_: Exception) -> None:
    """What fails is raised; nats-py would print a traceback besides."""


async def _current(js: JetStreamContext, thing: Declared) -> api.StreamConfig | api.ConsumerConfig | None:
    try:
        if not thing.consumer:
            return (await js.stream_info(thing.stream)).config
        consumer: api.ConsumerConfig = (await js.consumer_info(thing.stream, thing.consumer)).config
        return consumer
    except NotFoundError:
        return None


def _compared(thing: Declared, current: api.StreamConfig | api.ConsumerConfig | None) -> Change | None:
    if current is None:
        return Change(thing, {})
    old = {name: getattr(current, name) for name in thing.settings}
    differing = {name: value for name, value in old.items() if value != thing.settings[name]}
    return Change(thing, differing) if differing else None


async def _has(client: Client, stream: str, consumers: set[str]) -> bool:
    answer = await client.request(f"$JS.API.CONSUMER.NAMES.{stream}", b"", timeout=LOOK_SECONDS)
    found = msgspec.json.decode(answer.data, type=ConsumerNames)
    return not found.error and consumers <= set(found.consumers)


async def _perform_all(js: JetStreamContext, told: Topic | None, changes: Sequence[Change]) -> None:
    """In order. What was lost is told before the rest is made: a job that dies here is told of again by the next."""
    lost = any(change.makes_stream for change in changes)
    own = [change for change in changes if told and change.makes_stream and change.thing.stream == told.stream]
    for change in own:
        await _perform(js, change)
    if told and lost:
        message = announcement(told)
        await js.publish(message.subject, message.body, stream=message.stream, headers=dict(message.headers))
    for change in changes:
        if change not in own:
            await _perform(js, change)


async def _perform(js: JetStreamContext, change: Change) -> None:
    thing = change.thing
    if thing.consumer:  # creates and updates alike
        await js.add_consumer(thing.stream, api.ConsumerConfig(durable_name=thing.consumer, **thing.settings))
    elif change.old:
        await js.update_stream(api.StreamConfig(name=thing.stream, **thing.settings))
    else:
        try:
            await js.add_stream(api.StreamConfig(name=thing.stream, first_seq=first_sequence(), **thing.settings))
        except BadRequestError as error:
            if error.err_code != ALREADY_MADE:
                raise


def first_sequence() -> int:
    """Above all that an earlier stream of the same name can have had, at fewer than a million messages a second.

    JetStream takes an acknowledgement by its sequence alone: one that belongs to a deleted stream must not meet
    another message.
    """
    return time.time_ns() // 1000


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(getattr(value, "value", value))
