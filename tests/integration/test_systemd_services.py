"""What the systemd units start, started as they start it: the jobs, then every service, on servers of one's own."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from penstock.platform.credentials import SERVICES
from penstock.platform.ports import free_ports
from tests.conftest import Start
from tests.support.servers import postgres_server
from tests.support.systemd import HOME, UNITS, configure, variables

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
READY_SECONDS = 120
STOP_SECONDS = 20  # TimeoutStopSec of the unit


def commands(unit: str) -> list[list[str]]:
    """What a unit executes, from this checkout instead of the installed one."""
    lines = (UNITS / unit).read_text().splitlines()
    return [line.removeprefix("ExecStart=").replace(HOME, str(ROOT)).split() for line in lines if "ExecStart=" in line]


@dataclass(frozen=True)
class Machine:
    """A configured machine whose services run."""

    settings: Path
    ports: dict[str, int]
    processes: dict[str, subprocess.Popen[bytes]]

    def run(self, command: list[str]) -> str:
        """Run one of the operator's commands with the operator's settings; its output."""
        known = environment(self.settings, "operator")
        done = subprocess.run(command, env=known, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def environment(settings: Path, account: str) -> dict[str, str]:
    """What systemd gives a process: the file and little else."""
    return {"PATH": os.environ["PATH"], **variables(settings / f"{account}.env")}


def ready(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a service says that it can work."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(log.read_text()[-3000:])


def configured(folder: Path, bus: str, database: str) -> tuple[Path, dict[str, int]]:
    """Settings as `configure` writes them, on ports that are free here."""
    settings = folder / "etc"
    written = configure(settings, "--bus", bus, "--database", database, "--state", str(folder / "state"))
    assert written.returncode == 0, written.stderr
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    for name, port in ports.items():
        path = settings / f"{name}.env"
        kept = [line for line in path.read_text().splitlines() if "HTTP__PORT" not in line]
        path.write_text("\n".join([*kept, f"PENSTOCK_{name.upper()}_HTTP__PORT={port}", ""]))
    operator = settings / "operator.env"
    operator.write_text(operator.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{ports['api']}"))
    return settings, ports


@pytest.fixture
def machine(bus_url: str, private_server: Start, tmp_path: Path) -> Iterator[Machine]:
    """The jobs done and every service ready, on each bus."""
    database = urlsplit(private_server(postgres_server()).url)._replace(path="/postgres").geturl()
    settings, ports = configured(tmp_path, bus_url, database)
    made = Machine(settings, ports, {})
    for command in commands("penstock-prepare.service"):
        made.run(command)
    with ExitStack() as stack:
        (command,) = commands("penstock@.service")
        for service in SERVICES:
            log = stack.enter_context((tmp_path / f"{service}.log").open("wb"))
            argv = [word.replace("%i", service) for word in command]
            process = subprocess.Popen(argv, env=environment(settings, service), cwd=tmp_path, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
            made.processes[service] = process
        for service, process in made.processes.items():
            ready(ports[service], process, tmp_path / f"{service}.log")
        yield made


def test_configured_services_answer_agree_and_stop_in_time(machine: Machine) -> None:
    """An answer is charged once, the records agree, and each process ends by itself when systemd asks."""
    key = variables(machine.settings / "operator.env")["PENSTOCK_KEY"]
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{machine.ports['api']}/v1", api_key=key, max_retries=0)
    answer = client.chat.completions.create(model="sim/fast", messages=[{"role": "user", "content": "Hello!"}])
    assert answer.choices[0].message.content
    penstock = commands("penstock-prepare.service")[0][0]
    assert json.loads(machine.run([penstock, "reconcile", "--json"]))["requests"] == 1
    assert "went from" not in machine.run(commands("penstock-prepare.service")[0])
    for process in machine.processes.values():
        process.send_signal(signal.SIGTERM)
    ended = {name: process.wait(STOP_SECONDS) for name, process in machine.processes.items()}
    assert ended == dict.fromkeys(SERVICES, 0)
