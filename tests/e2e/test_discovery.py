"""An engine on this machine is found, asked and missed, without a word of configuration for it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from penstock.platform.ports import free_ports
from tests.support.local_engines import listening, ollama
from tests.support.platform import Platform, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


async def told(platform: Platform, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """What `penstock models --json` says of the addresses, once it holds."""
    async with asyncio.timeout(30):
        while True:
            shown = await asyncio.to_thread(platform.cli_json, "models")
            findings = {f["address"]: f for f in shown["discovery"]["findings"]}
            if holds(findings):
                return findings


def ask(platform: Platform, model: str) -> str | None:
    """An answer of a model, by the official client."""
    chat = platform.client().chat.completions
    return chat.create(model=model, messages=[{"role": "user", "content": "Hello"}]).choices[0].message.content


async def test_an_engine_that_is_started_later_serves(reachable_folder: Path) -> None:
    """It appears, answers, and is marked when it goes; the platform's own port and a closed one are said to be so."""
    engine_port, own_port = free_ports(2)
    own, there = f"127.0.0.1:{own_port}", f"127.0.0.1:{engine_port}"
    look = {
        "PENSTOCK_INFERENCE_LOOK__PORTS": f"[{engine_port}, {own_port}]",
        "PENSTOCK_INFERENCE_LOOK__INTERVAL": "0.2",
        **dict.fromkeys(("OPENAI_API_KEY", "DEEPSEEK_API_KEY", "OPENAI_BASE_URL"), ""),
    }
    options = ["--discover", "--port", str(own_port)]
    engine = ollama("llama3.2:1b")
    engine.says = "Found me."
    model = f"ollama@{there}/llama3.2:1b"
    with running(Platform(reachable_folder / "discovery", options, look)) as platform:
        findings = await told(platform, lambda found: len(found) == 2)
        assert (findings[there]["state"], findings[own]["state"]) == ("absent", "own")
        async with listening(engine, engine_port):
            findings = await told(platform, lambda found: found[there]["state"] == "serving")
            assert findings[there]["models"] == [model]
            assert await asyncio.to_thread(ask, platform, model) == "Found me."
        await told(platform, lambda found: found[there]["state"] == "away")
        with pytest.raises(openai.InternalServerError, match="can't be reached"):
            await asyncio.to_thread(ask, platform, model)
        shown = (await asyncio.to_thread(platform.cli, "models")).stdout
        assert "served again as soon as it is back" in " ".join(shown.split())
