"""Engines found by looking: what the catalogue makes of them, and what is told over each bus."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.catalogue import RegisterModel
from penstock_common.contracts.discovery import DiscoveryReport, Finding, ReadDiscovery
from penstock_common.messaging.ports import Bus
from penstock_common.topology import READ_DISCOVERY
from penstock_inference.app import App
from penstock_inference.domain.catalogue import Origin, registered
from tests.support.databases import Databases
from tests.support.inference import inference_process
from tests.support.local_engines import listening, llamacpp, ollama, raw_listener, vllm

pytestmark = pytest.mark.integration

QUICK = 0.1  # seconds between two looks


async def free_port() -> int:
    """A port where nobody listens."""
    async with raw_listener(None) as port:
        return port


@dataclass
class Rig:
    """Starts processes of inference that look where they are told."""

    databases: Databases
    bus_url: str
    folder: Path

    @asynccontextmanager
    async def process(self, *ports: int, discover: bool = True, **look: Any) -> AsyncIterator[App]:
        """One that looks at these ports ten times a second."""
        settings = {"discover": discover, "look": {"ports": ports, "interval": QUICK, **look}}
        async with inference_process(self.databases, self.bus_url, self.folder, **settings) as app:
            yield app


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but what is looked for is found."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "DEEPSEEK_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def rig(platform_databases: Databases, nats_url: str, tmp_path: Path) -> Rig:
    """On NATS."""
    return Rig(platform_databases, nats_url, tmp_path)


@pytest.fixture
def rig_on_both(platform_databases: Databases, bus_url: str, tmp_path: Path) -> Rig:
    """On each bus."""
    return Rig(platform_databases, bus_url, tmp_path)


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


def finding(app: App) -> Finding | None:
    """What is known of the one address."""
    return next(iter(app.local.findings), None)


def state(app: App) -> str:
    """Of the one address."""
    found = finding(app)
    return found.state if found else ""


def found_models(app: App) -> dict[str, str]:
    """What is served of engines that were found, with the engine's name for each."""
    models = app.catalogue.current.models.values()
    return {m.name: m.upstream_model for m in models if m.origin is Origin.LOCAL and m.enabled}


async def test_an_engine_started_later_appears_and_is_marked_when_it_leaves(rig: Rig) -> None:
    """Its models stay in the catalogue meanwhile, and through a restart of ours; what it no longer has goes."""
    port = await free_port()
    name = f"ollama@127.0.0.1:{port}/llama3.2:1b"
    async with rig.process(port) as app:
        await until(lambda: state(app) == "absent")
        assert found_models(app) == {}
        async with listening(ollama("llama3.2:1b", "gemma3:1b"), port):
            await until(lambda: state(app) == "serving")
            assert set(found_models(app)) == {name, f"ollama@127.0.0.1:{port}/gemma3:1b"}
            (model,) = [m for m in app.catalogue.current.models.values() if m.name == name]
            assert (model.dialect, model.url) == ("ollama", f"http://127.0.0.1:{port}/v1")
        await until(lambda: state(app) == "away")
        away = finding(app)
        assert away
        assert name in away.models
        assert "served again as soon as it is back" in away.reason
    async with rig.process(port) as again:
        await until(lambda: state(again) == "away")
        assert name in found_models(again)
        async with listening(ollama("llama3.2:1b"), port):
            await until(lambda: state(again) == "serving")
            assert set(found_models(again)) == {name}


async def test_a_look_that_finds_nothing_new_changes_nothing(rig: Rig) -> None:
    """Neither the catalogue's version, nor since when it is so."""
    async with listening(llamacpp()) as port, rig.process(port) as app:
        await until(lambda: found_models(app))
        await until(lambda: state(app) == "serving")
        version, since = app.catalogue.current.version, [f.since for f in app.local.findings]
        await app.local.look()
        assert app.catalogue.current.version == version
        assert [f.since for f in app.local.findings] == since


async def test_processes_agree_on_what_they_find(rig: Rig) -> None:
    """Two that look at once publish one catalogue."""
    async with listening(vllm("m")) as port, rig.process(port) as one, rig.process(port) as two:
        await until(lambda: found_models(one) and found_models(two))
        await one.catalogue.refresh()
        await two.catalogue.refresh()
        assert one.catalogue.current == two.catalogue.current


async def test_the_platforms_own_port_is_not_asked(rig: Rig) -> None:
    """It would be found to be a stranger, at best."""
    engine = ollama("m")
    async with listening(engine) as port, rig.process(port, own_ports=[port]) as app:
        await until(lambda: state(app) == "own")
        await app.local.look()
    assert engine.asked == []


async def test_what_somebody_registered_is_not_offered_twice(rig: Rig) -> None:
    """Under whatever name, and also after it was removed."""
    async with listening(ollama("a", "b")) as port:
        command = RegisterModel(name="mine", engine="ollama", url=f"http://127.0.0.1:{port}/v1", upstream_model="a")
        async with rig.process(discover=False) as app:
            await app.catalogue.apply(partial(registered, command=command, origin=Origin.OPERATOR, now=1))
        async with rig.process(port) as app:
            await until(lambda: state(app) == "serving")
            assert list(found_models(app).values()) == ["b"]


async def test_who_looks_no_more_serves_no_more_of_it(rig: Rig) -> None:
    """Neither with --no-discover nor with other ports."""
    async with listening(ollama("m")) as port:
        async with rig.process(port) as app:
            await until(lambda: found_models(app))
        async with rig.process(port, discover=False) as app:
            assert (found_models(app), app.local.findings) == ({}, [])


async def read(bus: Bus, *, check: bool = False) -> DiscoveryReport:
    """The answer over the bus."""
    return decode(DiscoveryReport, await bus.query(READ_DISCOVERY, encode(ReadDiscovery(check=check)), 5.0))


async def test_it_is_told_over_the_bus(rig_on_both: Rig) -> None:
    """Which engine, which version, which models."""
    async with listening(vllm("m")) as port, rig_on_both.process(port) as app:
        await until(lambda: state(app) == "serving")
        report = await read(app.bus)
    (found,) = report.findings
    assert (report.enabled, report.engines) == (True, [])
    assert (found.engine, found.version, found.models) == ("vLLM", "0.11.0", [f"vllm@127.0.0.1:{port}/m"])


async def test_engines_of_the_catalogue_are_asked_on_demand(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is away, one that refuses the key, one without a key, one that lacks the model, and one that is well."""
    monkeypatch.setenv("WRONG_KEY", "sk-wrong")
    closed = await free_port()
    async with AsyncExitStack() as stack:
        locked = await stack.enter_async_context(listening(vllm("m", key="sk-right")))
        fine = await stack.enter_async_context(listening(ollama("m")))
        app = await stack.enter_async_context(rig.process(discover=False))
        for name, port, secret in (
            ("away", closed, ""),
            ("refused", locked, "WRONG_KEY"),
            ("keyless", locked, "NOT_SET"),
            ("missing", fine, ""),
            ("fine", fine, "WRONG_KEY"),
        ):
            url, upstream = f"http://127.0.0.1:{port}/v1", "other" if name == "missing" else "m"
            command = RegisterModel(name=name, engine="vllm", url=url, upstream_model=upstream, secret=secret)
            await app.catalogue.apply(partial(registered, command=command, origin=Origin.OPERATOR, now=1))
        report = await read(app.bus, check=True)
    states = {engine.models[0]: (engine.state, engine.reason) for engine in report.engines}
    assert states == {
        "away": ("unreachable", "nothing listens there"),
        "refused": ("key_refused", "it refused our key (HTTP 401)"),
        "keyless": ("key_missing", "there is no key under the name NOT_SET"),
        "missing": ("model_missing", "it does not have other"),
        "fine": ("ok", ""),
    }
    assert "sk-wrong" not in str(report)
