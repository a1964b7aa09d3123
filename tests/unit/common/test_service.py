"""A service's process: told what it needs, started patiently, stopped gracefully."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from penstock.platform.ports import free_ports

SECRET = "hunter2"
COMPLETE = {
    "PENSTOCK_TINY_BUS__URL": f"nats://penstock:{SECRET}@127.0.0.1:4222",
    "PENSTOCK_TINY_DATABASE__URL": f"postgresql://penstock:{SECRET}@127.0.0.1/penstock",
    "PENSTOCK_TINY_HTTP__PORT": "0",
    "PENSTOCK_TINY_STOP_GRACE": "5",
}


class Tiny:
    """A process of the tiny service, with what it logged."""

    def __init__(self, process: Process, port: int) -> None:
        self.process, self.url = process, f"http://127.0.0.1:{port}"
        self.logged: list[dict[str, Any]] = []

    async def until(self, event: str) -> dict[str, Any]:
        """Read the log until something happened."""
        assert self.process.stderr
        async with asyncio.timeout(30):
            while line := await self.process.stderr.readline():
                self.logged.append(json.loads(line))
                if self.logged[-1]["event"] == event:
                    return self.logged[-1]
        raise AssertionError(f"{event} did not happen: {self.logged}")

    async def get(self, path: str) -> tuple[int, str]:
        """Ask it, once it listens: it begins to at the same time as it connects."""
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(self.url + path) as response:
                        return response.status, await response.text()
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.02)

    async def ended(self) -> int:
        """Its exit code, after the rest of its log."""
        assert self.process.stderr
        async for line in self.process.stderr:
            self.logged.append(json.loads(line))
        return await asyncio.wait_for(self.process.wait(), 30)


async def spawn(*arguments: str, **environment: str) -> Process:
    """Run the tiny service."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.tiny_service", *arguments),
        env=kept | environment,
        stdout=PIPE,
        stderr=PIPE,
    )


async def begin(**environment: str) -> Tiny:
    """Start it on a free port."""
    (port,) = free_ports(1)
    return Tiny(await spawn(**COMPLETE | {"PENSTOCK_TINY_HTTP__PORT": str(port)} | environment), port)


@pytest.fixture
async def tiny() -> AsyncIterator[Tiny]:
    """A started service."""
    made = await begin()
    await made.until("service.started")
    yield made
    if made.process.returncode is None:
        made.process.kill()
        await made.process.wait()


async def checked(**environment: str) -> tuple[int | None, str]:
    """Exit code and words of `check-config`."""
    process = await spawn("check-config", **environment)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, (out + err).decode()


async def test_complete_configuration_is_confirmed_and_nothing_starts() -> None:
    """`check-config` builds the settings and exits; it prints no secret."""
    code, said = await checked(**COMPLETE)
    assert (code, said) == (0, "the configuration of tiny is complete\n")


async def test_missing_and_wrong_variables_are_named() -> None:
    """One line each, with the variable's name; what it holds is not repeated."""
    given = COMPLETE | {"PENSTOCK_TINY_HTTP__PORT": SECRET}
    del given["PENSTOCK_TINY_DATABASE__URL"], given["PENSTOCK_TINY_BUS__URL"]
    code, said = await checked(**given)
    assert code == 1
    assert "PENSTOCK_TINY_DATABASE: Field required" in said
    assert "PENSTOCK_TINY_BUS: Field required" in said
    assert "PENSTOCK_TINY_HTTP__PORT: " in said
    assert SECRET not in said


async def test_misspelt_part_of_a_section_is_named() -> None:
    """A typing error inside a section does not pass as a default."""
    code, said = await checked(**COMPLETE, PENSTOCK_TINY_DATABASE__POOLSIZE="9")
    assert code == 1
    assert "PENSTOCK_TINY_DATABASE__POOLSIZE" in said


async def test_it_answers_for_itself(tiny: Tiny) -> None:
    """Alive, ready, and counted."""
    assert await tiny.get("/healthz") == (200, '{"status":"ok"}')
    assert await tiny.get("/readyz") == (200, '{"ready":true,"checks":{"started":true}}')
    status, metrics = await tiny.get("/metrics")
    assert status == 200
    assert "process_cpu_seconds_total" in metrics


async def test_sigterm_lets_a_request_finish_then_stops(tiny: Tiny) -> None:
    """What runs is answered; the app is stopped; the exit code is 0."""
    asking = asyncio.create_task(tiny.get("/slow"))
    await tiny.until("slow.begun")
    tiny.process.send_signal(signal.SIGTERM)
    assert await asking == (200, "done")
    assert await tiny.ended() == 0
    assert [entry["event"] for entry in tiny.logged[-2:]] == ["tiny.stopped", "service.stopped"]


async def test_it_waits_for_its_dependencies_alive_but_not_ready() -> None:
    """A database that is away for a while delays the start, and is named in the log."""
    made = await begin(PENSTOCK_TINY_ABSENT="3")
    awaited = await made.until("dependency.awaited")
    assert "database" in awaited["reason"]
    await made.until("service.started")
    assert await made.get("/readyz") == (200, '{"ready":true,"checks":{"started":true}}')
    made.process.terminate()
    assert await made.ended() == 0


async def test_sigterm_while_it_waits_ends_it_soon() -> None:
    """It does not insist on starting first, and does not say that it did."""
    made = await begin(PENSTOCK_TINY_ABSENT="1000")
    await made.until("dependency.awaited")
    assert (await made.get("/readyz"))[0] == 503
    assert (await made.get("/healthz"))[0] == 200
    made.process.terminate()
    assert await made.ended() == 0
    assert "service.started" not in [entry["event"] for entry in made.logged]


async def test_taken_port_ends_it_with_a_reason(tiny: Tiny) -> None:
    """A second one on the same port does not run without one."""
    second = await begin(PENSTOCK_TINY_HTTP__PORT=tiny.url.rpartition(":")[2])
    assert await second.ended() != 0
    assert any("address already in use" in entry["event"] for entry in second.logged)


async def test_its_log_is_json_that_says_who_speaks(tiny: Tiny) -> None:
    """Each line names service, level and time, and no secret."""
    tiny.process.terminate()
    await tiny.ended()
    assert all({"service", "level", "timestamp", "event"} <= entry.keys() for entry in tiny.logged)
    assert SECRET not in json.dumps(tiny.logged)
