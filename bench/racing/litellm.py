"""LiteLLM's proxy in a virtual environment of its own, as its documentation sets it up for production."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from measuring.tools import BenchError, run
from racing.contestant import Contestant

VERSION = "1.106.2"
PACKAGES = (f"litellm[proxy]=={VERSION}", "opentelemetry-api", "opentelemetry-sdk", "httptools", "uvloop")
"""Without OpenTelemetry it looks for it at each request, without the other two it is slower than it can be."""

ENVIRONMENT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"}
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
READY_S, STOP_S = 300, 10


def install() -> Path:
    """Give the folder of its programs; the first time it takes a minute. Raises BenchError."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "penstock" / f"litellm-{VERSION}"
    complete = home / "complete"
    if complete.exists():
        return home / "bin"
    print(f"installing LiteLLM {VERSION} (once) …", file=sys.stderr)
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(home)],
        [str(home / "bin/pip"), "--quiet", "--disable-pip-version-check", "install", *PACKAGES],
    ):
        done = run(command)
        if done.returncode:
            raise BenchError(f"LiteLLM {VERSION} could not be installed:\n{done.stdout}{done.stderr}")
    complete.touch()
    return home / "bin"


@contextmanager
def litellm(folder: Path, engines: Mapping[str, str], workers: int) -> Iterator[Contestant]:
    """Run it in front of the engines (model → base URL) with so many workers; its files lie in the folder."""
    programs = install()
    key, port = f"sk-{secrets.token_hex(16)}", free_port()
    config = folder / f"litellm-{workers}.json"  # JSON is YAML too
    config.write_text(json.dumps(settings(engines, key)))
    address = ("--host", "127.0.0.1", "--port", str(port), "--num_workers", str(workers))
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ} | ENVIRONMENT
    log = folder / f"litellm-{workers}.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [programs / "litellm", "--config", config, *address],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    try:
        await_ready(process, port, log)
        name = f"LiteLLM {VERSION}, {workers} worker{'s' if workers > 1 else ''}"
        yield Contestant(name, f"http://127.0.0.1:{port}/v1", key, lambda: {"litellm": [process.pid]}, VERSION)
    finally:
        stop(process)


def settings(engines: Mapping[str, str], key: str) -> dict[str, object]:
    """The leanest configuration that still asks for a key: no database, no budgets, no retries."""
    models = [
        {"model_name": model, "litellm_params": {"model": f"openai/{model}", "api_base": url, "api_key": "none"}}
        for model, url in engines.items()
    ]
    return {
        "model_list": models,
        "general_settings": {"master_key": key},
        "litellm_settings": {"num_retries": 0, "telemetry": False},
    }


def await_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until it says that it lives, and settle. Raises BenchError with the end of its log."""
    deadline = time.monotonic() + READY_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            opener.open(f"http://127.0.0.1:{port}/health/liveliness", timeout=5).close()
            break
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"LiteLLM did not start:\n{log.read_text()[-3000:]}") from error
        time.sleep(0.5)
    time.sleep(2)  # its other workers answer later than the first


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it and its workers."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
