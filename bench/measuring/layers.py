"""What each layer of a request costs: the same load with the layer on and off, or the layer alone in a loop.

Ledger and history are turned off by holding up their consumers of `GenerationCompleted`, which the request itself never
waits for; afterwards they catch up, and the books are checked. Traces are turned on in a second platform. Sealing and
the durable command can't be turned off: they are measured alone.
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import nats
from nats.aio.client import Client

from measuring.bench import Bench, Measured
from measuring.platform import Platform, platform
from measuring.processes import cpu_seconds
from measuring.tools import BenchError
from penstock_common.contracts.generation import GenerationCompleted
from penstock_common.ids import uuid7
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.topology import PLATFORM

ROUNDS = 2
HELD_UP = {"ledger": "billing-on-generation-completed", "history": "api-on-generation-completed"}
CLIENTS = ("-c", "64")
PAUSE_S = 120
LOOPS, AT_ONCE = 4_000, 64
QUESTION, ANSWER = b"q" * 200, b"a" * 100
"""Of the size of what the load generator asks and is answered, as JSON."""


def layers(bench: Bench) -> Measured:
    """Give the CPU milliseconds a request of each layer, at 64 clients."""
    if bench.bus_url:
        raise BenchError("layers are measured on the embedded NATS only: leave `layers` out")
    return {"layers": {name: round(ms, 3) for name, ms in costs(bench)}, "others_cores": 0.0}


def costs(bench: Bench) -> Iterator[tuple[str, float]]:
    """The layers, one after another."""
    for layer, consumer in HELD_UP.items():
        yield layer, fmean(held_up_ms(bench, consumer) for _ in range(ROUNDS))
    yield "traces", traced_ms(bench)
    yield "sealing", sealing_ms()
    yield "the durable command beside a plain one", asyncio.run(durable_ms(bench.platform))


def held_up_ms(bench: Bench, consumer: str) -> float:
    """What a request costs more with a consumer than without it, one measured right after the other."""
    usual = cost_ms(bench)
    with held_up(bench.platform, consumer):
        without = cost_ms(bench)
    bench.check()  # it has caught up: the next measurement doesn't pay for this one
    return usual - without


def cost_ms(bench: Bench) -> float:
    """CPU milliseconds a request; what is left behind is not waited for, as it may be held up."""
    listed = bench.platform.processes()
    bench.through("mock", *CLIENTS, "-d", "1s")
    before = sum(cpu_seconds(listed).values())
    result = bench.through("mock", *CLIENTS, "-d", f"{bench.windows.load_s}s")
    time.sleep(1)
    return 1e3 * (sum(cpu_seconds(listed).values()) - before) / float(result["requests"])


@contextmanager
def held_up(running: Platform, consumer: str) -> Iterator[None]:
    """Hold a consumer's messages back on the bus for the length of the block."""
    asyncio.run(pause(running, consumer, PAUSE_S))
    try:
        yield
    finally:
        asyncio.run(pause(running, consumer, 0))


async def pause(running: Platform, consumer: str, seconds: float) -> None:
    """Ask the server to deliver nothing to a consumer for so long; 0 lets it go on. Raises BenchError."""
    stream = PLATFORM.topic(GenerationCompleted).stream
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    request = {"pause_until": until.isoformat()} if seconds else {}
    async with connected(running) as bus:
        subject = f"$JS.API.CONSUMER.PAUSE.{stream}.{consumer}"
        answer = json.loads((await bus.request(subject, json.dumps(request).encode())).data)
    if answer.get("error") or bool(answer.get("paused")) != bool(seconds):
        raise BenchError(f"the bus does not hold up {consumer}: {answer}")


@asynccontextmanager
async def connected(running: Platform) -> AsyncIterator[Client]:
    """A connection to the platform's own bus."""
    bus = await nats.connect(json.loads((running.data / "state.json").read_text())["bus"])
    try:
        yield bus
    finally:
        await bus.close()


def traced_ms(bench: Bench) -> float:
    """What a request costs more in a platform that sends all its traces to a collector, as the mock engine is one."""
    collector = bench.whole.url.removesuffix("/v1")
    with (
        TemporaryDirectory(prefix="penstock-bench-", ignore_cleanup_errors=True) as data,
        platform(bench.platform.command, Path(data), None, ("--otlp", collector)) as traced,
    ):
        traced.add_model("mock", bench.whole.url)
        other = Bench(traced, bench.whole, bench.streaming, bench.windows, bench.scratch)
        ms = fmean(cost_ms(other) - cost_ms(bench) for _ in range(ROUNDS))
        traced.check(other.sent, other.sent_tokens)
    bench.asked_elsewhere += other.sent
    return ms


def sealing_ms() -> float:
    """A request's seals in a loop: the question sealed, digested and opened, the answer sealed."""
    with TemporaryDirectory() as folder:
        sealer, tenant = Sealer(LocalKeyring(Path(folder))), uuid7()
        begun = time.process_time()
        for _ in range(LOOPS):
            context = str(uuid7())
            sealed = sealer.seal(tenant, context, QUESTION)
            sealer.mac(tenant, QUESTION)
            sealer.open(context, sealed)
            sealer.seal(tenant, context, ANSWER)
        return 1e3 * (time.process_time() - begun) / LOOPS


async def durable_ms(running: Platform) -> float:
    """What a kept, acknowledged and pulled message costs both ends and the server more than a plain one."""
    server = {"nats": running.processes()["nats"], "ours": [os.getpid()]}
    stream, subject = "BENCH", "bench.command"
    size = b"c" * (len(QUESTION) + 600)  # with the headers of GenerateText
    async with connected(running) as bus:
        kept = bus.jetstream()
        await kept.add_stream(name=stream, subjects=[subject], max_bytes=1 << 26)
        try:
            pulled = await kept.pull_subscribe(subject, durable="bench")

            async def durably() -> None:
                await asyncio.gather(*(kept.publish(subject, size) for _ in range(AT_ONCE)))
                for message in await pulled.fetch(AT_ONCE):
                    await message.ack()

            plain = await bus.subscribe("bench.plain")

            async def plainly() -> None:
                for _ in range(AT_ONCE):
                    await bus.publish("bench.plain", size)
                for _ in range(AT_ONCE):
                    await plain.next_msg(5)

            used = []
            for step in (durably, plainly):
                before = sum(cpu_seconds(server).values())
                for _ in range(LOOPS // AT_ONCE):
                    await step()
                used.append(sum(cpu_seconds(server).values()) - before)
        finally:
            with contextlib.suppress(nats.errors.Error):
                await kept.delete_stream(stream)
    return 1e3 * (used[0] - used[1]) / LOOPS
