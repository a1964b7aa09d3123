"""The Go instruments: built on demand, started, and read."""

import json
import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BENCH = Path(__file__).resolve().parent.parent
BUILD = BENCH / ".build"

Load = dict[str, Any]
"""The load generator's line: see bench/go/loadgen/summary.go."""


class BenchError(Exception):
    """The measurement can't be trusted or can't be made; the text says why."""


def run(
    command: Sequence[str | Path],
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 900,
) -> subprocess.CompletedProcess[str]:
    """Run a command and capture what it writes; the caller judges its status."""
    return subprocess.run(command, cwd=cwd, env=env, timeout=timeout, capture_output=True, text=True, check=False)


def interruptible() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that nothing that it started stays behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def build() -> None:
    """Test and build the mock engine and the load generator into bench/.build."""
    go = shutil.which("go")
    if go is None:
        raise BenchError("make bench needs Go 1.22 or newer: install it (https://go.dev/dl) and put `go` on the PATH")
    for command in (["test", "./..."], ["build", "-o", f"{BUILD}{os.sep}", "./mock", "./loadgen"]):
        done = run([go, *command], cwd=BENCH / "go", env=os.environ | {"GOTOOLCHAIN": "local"})
        if done.returncode:
            raise BenchError(f"go {' '.join(command)} failed:\n{done.stdout}{done.stderr}")


@dataclass(frozen=True)
class Mock:
    """A running mock engine."""

    url: str
    pid: int

    def finished(self) -> int:
        """Give the number of requests that it answered to the end."""
        return self._count("finished")

    def begun(self) -> int:
        """Give the number of requests that it was asked, those given up by the asker included."""
        return self._count("begun")

    def _count(self, name: str) -> int:
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/stats", timeout=5) as response:
            return int(json.load(response)[name])


@contextmanager
def mock(gap_ms: int) -> Iterator[Mock]:
    """Run a mock engine that answers at once and streams a token each `gap_ms`."""
    process = subprocess.Popen([BUILD / "mock", "-gap", f"{gap_ms}ms"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise BenchError(f"the mock engine ended at once with status {process.wait()}")
        yield Mock(f"http://{address}/v1", process.pid)
    finally:
        process.kill()
        process.wait()


def load(url: str, key: str, model: str, *options: str) -> Load:
    """Run the load generator; a single wrong or failed answer is an error."""
    command = [str(BUILD / "loadgen"), "-url", url, "-key", key, "-model", model, *options]
    done = run(command)
    if done.returncode:
        raise BenchError(f"the load generator failed: {done.stderr}")
    result: Load = json.loads(done.stdout)
    if result["failed"] or not result["requests"]:
        failed, right = result["failed"], result["requests"]
        raise BenchError(f"{failed} of {failed + right} answers were wrong, first: {result.get('first_failure')}")
    return result
