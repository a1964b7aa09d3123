"""A whole platform as a user starts it, for end-to-end tests."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil

from tests.support.commands import penstock

ROOT = Path(__file__).parents[2]
PENSTOCK = Path(sys.executable).parent / "penstock"
START_SECONDS = 60.0


@dataclass
class Platform:
    """`penstock up --json` in a session of its own; `info` is the line that it printed."""

    data: Path
    options: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def start(self) -> "Platform":
        """Start it and wait until it is healthy."""
        log = (self.data.parent / f"{self.data.name}.log").open("a")
        self.process = subprocess.Popen(
            [PENSTOCK, "up", "--json", "--no-discover", "--data", self.data, *self.options],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            start_new_session=True,
            env={**os.environ, **self.environment},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"no start: {self.log_tail()}"
        self.info = json.loads(line)
        return self

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(40)

    def kill_everything(self) -> None:
        """SIGKILL to every process at once, as a power cut would."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self.process is not None
        self.process.wait(10)

    def pids(self, role: str | None = None) -> list[int]:
        """The process ids now, of one role or of all."""
        processes = self.cli_json("status")["processes"]
        return [pid for name, pids in processes.items() if role in (None, name) for pid in pids]

    def kill(self, role: str) -> int:
        """SIGKILL to the first process of a role; returns its pid."""
        pid = self.pids(role)[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def cli(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a penstock command against this platform."""
        result = penstock(arguments, {**os.environ, **self.environment, "PENSTOCK_DATA": str(self.data)})
        assert not check or result.returncode == 0, f"penstock {arguments}: {result.stdout}{result.stderr}"
        return result

    def cli_json(self, *arguments: str, check: bool = True) -> Any:
        """Run a command with --json and read its answer."""
        return json.loads(self.cli(*arguments, "--json", check=check).stdout)

    def client(self, **options: Any) -> openai.OpenAI:
        """The official client, unmodified."""
        key = options.pop("api_key", self.info["api_key"])
        base = f"{self.info['base_url']}/v1"
        return openai.OpenAI(base_url=base, api_key=key, max_retries=0, timeout=30, **options)

    def usage(self, request_id: str) -> dict[str, int]:
        """The ledger's word on one request, over HTTP with the operator's key."""
        headers = {"authorization": f"Bearer {self.info['admin_key']}"}
        url = f"{self.info['base_url']}/api/v1/usage"
        answer = httpx.get(url, params={"request_id": request_id}, headers=headers, timeout=10)
        answer.raise_for_status()
        usage: dict[str, int] = answer.json()
        return usage

    def log_tail(self, lines: int = 40) -> str:
        """The end of what it logged."""
        path = self.data.parent / f"{self.data.name}.log"
        return "\n".join(path.read_text().splitlines()[-lines:])


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process ends within the time given."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


@contextlib.contextmanager
def running(platform: Platform) -> Iterator[Platform]:
    """A platform for the length of a block; whatever is left of it is killed."""
    try:
        yield platform.start()
    finally:
        with contextlib.suppress(Exception):
            platform.stop()
        if platform.process and platform.process.poll() is None:
            platform.process.kill()
