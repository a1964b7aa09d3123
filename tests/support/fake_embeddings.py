"""Stands in for inference's embedding model on a real bus: one recorded answer an id, as the real one promises."""

import asyncio
import base64
import json
import re
from array import array
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.embedding import EmbedTexts, VectorizeTexts
from penstock_common.contracts.generation import GenerateText, GenerationState, Outcome, ReadGeneration, Tokens
from penstock_common.contracts.stream import Ended, Failure, Frame, Whole, pack
from penstock_common.messaging.connect import make_bus
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import opened
from penstock_common.messaging.ports import Bus, Incoming
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.topology import PLATFORM, READ_GENERATION

DIMENSION = 64
MODEL = "local/all-minilm-l6-v2"
WORD = re.compile(r"\w+")
LANES: tuple[tuple[str, type[GenerateText]], ...] = (("vectorize_texts", VectorizeTexts), ("embed_texts", EmbedTexts))


def vector_of(text: str, dimension: int) -> list[float]:
    """Texts that share words point the same way."""
    numbers = [0.01] * dimension
    for word in WORD.findall(text.lower()):
        numbers[blake2b(word.encode(), digest_size=2).digest()[0] % dimension] += 1.0
    return numbers


def embeddings(body: dict[str, Any], dimension: int) -> bytes:
    """OpenAI's answer."""
    vectors = [array("f", vector_of(text, dimension)).tobytes() for text in body["input"]]
    data = [
        {"object": "embedding", "index": index, "embedding": base64.b64encode(vector).decode()}
        for index, vector in enumerate(vectors)
    ]
    return json.dumps({"object": "list", "model": body["model"], "data": data}).encode()


class FakeEmbeddings:
    """What was computed, how often, and what keeps it from answering."""

    def __init__(self, bus: Bus, sealer: Sealer) -> None:
        self.bus, self.sealer = bus, sealer
        self.computed: Counter[str] = Counter()
        """Request id → how often its vectors were made: what would be charged."""
        self.texts: Counter[str] = Counter()
        """Text of a document → how often it was embedded under whatever id."""
        self.models: set[str] = set()
        self.dimension = DIMENSION
        self.recorded: dict[str, list[Frame]] = {}
        self.failures: list[Failure] = []
        """Ends of the next requests, instead of vectors."""
        self.gate = asyncio.Event()
        """Closed, commands wait."""
        self.gate.set()
        self.waiting = asyncio.Event()

    async def start(self) -> None:
        """Take commands of both lanes, and answer what a row would."""
        for handler, contract in LANES:
            await self._serve(handler, contract)
        await self.bus.answer(READ_GENERATION, self._read)

    async def _serve(self, handler: str, contract: type[GenerateText]) -> None:
        lane, delivery = PLATFORM.consumer("inference", handler), Delivery(self.bus.settler)

        async def take(message: Incoming) -> None:
            await self._take(opened(message, contract))

        async def deliver(message: Incoming) -> None:
            await delivery.run(take, message, lane)

        await self.bus.pull(lane, deliver)

    async def _take(self, command: GenerateText) -> None:
        key = str(command.request_id)
        self.waiting.set()
        await self.gate.wait()
        if key not in self.recorded:
            self.recorded[key] = self._made(command)
        self.bus.send(command.reply_to, key, pack(self.recorded[key]))

    def _made(self, command: GenerateText) -> list[Frame]:
        body = json.loads(self.sealer.open(str(command.request_id), command.sealed))
        if self.failures:
            return [Ended(1, Outcome.FAILED, {}, {}, Tokens(), self.failures.pop(0))]
        self.computed[str(command.request_id)] += 1
        self.models.add(body["model"])
        if isinstance(command, VectorizeTexts):
            self.texts.update(body["input"])
        return [
            Whole(1, embeddings(body, self.dimension)),
            Ended(1, Outcome.SUCCEEDED, {}, {}, Tokens(prompt=len(body["input"]))),
        ]

    async def _read(self, body: bytes) -> bytes:
        read = decode(ReadGeneration, body)
        frames = self.recorded.get(str(read.request_id))
        if frames and read.reply_to:
            self.bus.send(read.reply_to, str(read.request_id), pack(frames))
        return encode(GenerationState(request_id=read.request_id, outcome=Outcome.SUCCEEDED if frames else "unknown"))


@asynccontextmanager
async def fake_embeddings(bus_url: str, keyring: Path) -> AsyncIterator[FakeEmbeddings]:
    """One, connected."""
    bus = make_bus(bus_url, "inference")
    await bus.connect()
    embedding = FakeEmbeddings(bus, Sealer(LocalKeyring(keyring)))
    await embedding.start()
    yield embedding
    await bus.close()
