"""Dead letters of a consumer that is at hand: api's own, of the catalogue."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from penstock_common.contracts.base import Contract, encode
from penstock_common.contracts.catalogue import CatalogueChanged, CatalogueModel, Price
from penstock_common.ids import uuid7
from penstock_common.messaging.envelope import envelop
from penstock_common.messaging.ports import Bus, Outgoing
from penstock_common.topology import CATALOGUE_CHANGED, PLATFORM

LETTERS = "/api/v1/admin/dead-letters"
CONSUMER = "api-on-catalogue-changed"
SECONDS = 15.0
MODEL = CatalogueModel(
    "sim/fast", "sim", "sim", Price(version=1, currency="USD", input_nano=1, output_nano=2, cached_input_nano=1)
)


def message(version: int = 1, message_id: str = "") -> Outgoing:
    """A catalogue as inference says it."""
    return envelop(CatalogueChanged(version=version, models=[MODEL]), CATALOGUE_CHANGED, message_id=message_id)


def broken(body: bytes = b'{"version": "seven", "models": []}', message_id: str = "") -> Outgoing:
    """One that no consumer can read; it is refused at its first attempt."""
    good = message(7, message_id)
    return Outgoing(good.subject, good.stream, good.message_id, good.headers, body)


def as_letter(out: Outgoing, consumer: str = CONSUMER, **told: str) -> dict[str, str]:
    """The headers of a message that a settler buried."""
    moment = "2026-11-21T12:00:00+00:00"
    story = {"dlq-consumer": consumer, "dlq-subject": out.subject, "dlq-sequence": "S:1", "dlq-attempts": "3"}
    end = {"dlq-reason": "KeyError: 'x'", "dlq-first": moment, "dlq-last": moment}
    return {**out.headers, **story, **end, **told}


async def until(client: httpx.AsyncClient, holds: Callable[[list[dict[str, Any]]], object], **query: str) -> Any:
    """The listed letters, once they are as they should be."""
    async with asyncio.timeout(SECONDS):
        while True:
            answer = await client.get(LETTERS, params=query)
            found: list[dict[str, Any]] = answer.raise_for_status().json()["dead_letters"]
            if holds(found):
                return found
            await asyncio.sleep(0.05)


async def buried(client: httpx.AsyncClient, bus: Bus, *out: Outgoing) -> list[dict[str, Any]]:
    """Publish what can't be handled; gives all letters once so many more are kept."""
    before = len((await client.get(LETTERS)).json()["dead_letters"])
    for one in out:
        await bus.publish(one)
    found: list[dict[str, Any]] = await until(client, lambda letters: len(letters) == before + len(out))
    return found


async def eventually(check: Callable[[], Awaitable[object]]) -> None:
    """Wait for something that has to be asked for."""
    async with asyncio.timeout(SECONDS):
        while not await check():
            await asyncio.sleep(0.05)


def a_day_id() -> str:
    """A message id of today."""
    return str(uuid7())


def body_of(contract: Contract) -> bytes:
    """As its topic writes it."""
    return encode(contract, PLATFORM.topic(type(contract)).wire)
