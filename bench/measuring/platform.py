"""The platform under test, started and asked as a user would: by its command alone."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from measuring.processes import Listed, listener
from measuring.tools import BenchError, run

START_S, STOP_S, SETTLE_S = 300, 60, 30


@dataclass(frozen=True)
class Platform:
    """A running platform and its command."""

    command: Path
    data: Path
    base_url: str
    api_key: str
    bus_url: str | None

    def ask(self, *arguments: str) -> Any:
        """Run `penstock … --json` and give what it prints; a failure is an error that quotes it."""
        return json.loads(self._run(*arguments, "--json"))

    def processes(self) -> Listed:
        """Give the processes by role, with the bus's own where it was given by URL and runs here."""
        listed: dict[str, list[int]] = self.ask("status")["processes"]
        if self.bus_url:
            pid = listener(self.bus_url)
            if pid is None:
                raise BenchError("the bus's own CPU can't be counted: run it on this machine, and the bench as root")
            listed["bus"] = [pid]
        return listed

    def add_model(self, name: str, url: str) -> None:
        """Add the mock engine as a model and wait until it is served."""
        engine = ("--engine", "openai-compatible", "--url", url)
        self._run("models", "add", name, *engine, "--price-in", "0.000001", "--price-out", "0.000002")
        deadline = time.monotonic() + 5
        headers = {"Authorization": f"Bearer {self.api_key}"}
        while httpx.get(f"{self.base_url}/v1/models/{name}", headers=headers).status_code != 200:
            if time.monotonic() > deadline:
                raise BenchError(f"the model {name} is not served 5 s after `penstock models add`")
            time.sleep(0.1)

    def check(self, requests: int, tokens: int) -> None:
        """Hold the ledger against what was answered, and run reconcile; a difference is an error."""
        deadline = time.monotonic() + SETTLE_S
        while (usage := self.ask("usage"))["requests"] < requests and time.monotonic() < deadline:
            time.sleep(0.5)
        charged = usage["requests"], usage["total_tokens"]
        if charged != (requests, tokens):
            held = "{} requests of {} tokens".format(*charged)
            raise BenchError(f"{requests} requests of {tokens} tokens were answered, but the ledger holds {held}")
        if not usage["cost_nano"]:
            raise BenchError("priced requests cost nothing")
        self.ask("reconcile")

    def _run(self, *arguments: str) -> str:
        done = run([self.command, *arguments, "--data", self.data], timeout=120)
        if done.returncode:
            asked = " ".join(arguments)
            raise BenchError(f"penstock {asked} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout


@contextmanager
def platform(
    command: Path,
    data: Path,
    bus_url: str | None,
    options: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> Iterator[Platform]:
    """Run `penstock up` on a data folder and stop it at the end; its log is DATA/up.log.

    `options` are added to the command and `settings` to its environment.
    """
    arguments = ["up", "--json", "--no-discover", "--data", str(data), *options]
    if bus_url:
        arguments += ["--bus", bus_url]
    with (data / "up.log").open("w") as log:
        environment = os.environ | dict(settings or {})
        process = subprocess.Popen(
            [command, *arguments], stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
    try:
        ready = json.loads(_first_line(process, data / "up.log"))
        yield Platform(command, data, ready["base_url"], ready["api_key"], bus_url)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _first_line(process: subprocess.Popen[str], log: Path) -> str:
    """Read the line that says the platform is up, or say why there is none."""
    assert process.stdout is not None
    patience = threading.Timer(START_S, process.kill)
    patience.start()
    line = process.stdout.readline()
    patience.cancel()
    if not line:
        raise BenchError(f"penstock up did not start:\n{log.read_text()[-3000:]}")
    return line
