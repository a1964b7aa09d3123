"""A platform for an example, and its command line as a person would type it."""

import argparse
import contextlib
import json
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

START_SECONDS = 120
PATIENCE_SECONDS = 120
LOOPBACK = "127.0.0.0/8"


class Penstock:
    """The command `penstock`, and the address of the platform that it speaks to."""

    def __init__(self, data: Path, state: dict[str, Any]) -> None:
        self.data, self.url, self.key = data, state["base_url"], state["admin_key"]

    def __call__(self, *arguments: str) -> None:
        """Run a command, and show it with what it says."""
        print(f"\n$ penstock {shlex.join(arguments)}", flush=True)
        subprocess.run(self._command(*arguments), check=True)

    def json(self, *arguments: str) -> Any:
        """Run a command with `--json`; gives what it says."""
        print(f"\n$ penstock {shlex.join(arguments)}", flush=True)
        done = subprocess.run(self._command(*arguments, "--json"), check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout)

    def get(self, path: str) -> Any:
        """What a route of the API says."""
        answer = httpx.get(f"{self.url}{path}", headers={"authorization": f"Bearer {self.key}"}, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def ended(self, run_id: str) -> dict[str, Any]:
        """A run, once it ended well."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            run: dict[str, Any] = self.get(f"/api/v1/runs/{run_id}")
            if run["state"] == "succeeded":
                return run
            if run["state"] in ("failed", "cancelled"):
                raise SystemExit(f"the run {run['state']}: {run['error']}")
            time.sleep(0.2)
        raise SystemExit(f"the run {run_id} did not end within {PATIENCE_SECONDS} s")

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "penstock.main", *arguments, "--data", str(self.data)]


def options(about: str) -> argparse.ArgumentParser:
    """What every example can be told."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--model", default="sim/fast", help="any model that `penstock models ls` shows")
    parser.add_argument("--bus", help="a bus of your own, nats://… or amqp://…; by default an embedded NATS")
    return parser


@contextlib.contextmanager
def platform(given: argparse.Namespace) -> Iterator[Penstock]:
    """A platform with an empty data folder, whose tools may call this machine; it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="penstock-example-") as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        command = [sys.executable, "-m", "penstock.main", "up", "--json", "--data", str(data)]
        command += ["--allow-tool", LOOPBACK, *(("--bus", given.bus) if given.bus else ())]
        with (Path(folder) / "log").open("w+") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
            try:
                yield Penstock(data, _state(process, Path(log.name)))
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(START_SECONDS)


def _state(process: "subprocess.Popen[str]", log: Path) -> dict[str, Any]:
    """The line that says where the platform is."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            state: dict[str, Any] = json.loads(line)
            return state
    raise SystemExit(f"the platform did not start:\n{log.read_text()[-2000:]}")


def script_for(model: str, *lines: str) -> str:
    """What the simulated engine is to answer; nothing for a real model, which decides by itself."""
    return "\n".join(lines) if model.startswith("sim/") else ""
