"""A stack of containers on each bus."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from penstock.platform.ports import free_ports
from tests.support.compose import COMPOSE, compose_command
from tests.support.containers import docker_answers
from tests.support.podman import podman_engine

PREFIX = "localhost/penstock-test"
UP_SECONDS = 240


@dataclass(frozen=True)
class Stack:
    """compose/compose.yaml as a project of its own, with passwords of its own."""

    bus: str
    home: Path
    port: int
    engine: dict[str, str]

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run `docker compose` on the project; its output."""
        where = ("--file", str(COMPOSE / "compose.yaml"), "--env-file", str(self.home / ".env"))
        done = subprocess.run(
            [*compose_command(), *where, "--project-name", f"penstock-test-{self.bus}", *arguments],
            env=os.environ | self.engine | {"IMAGE_PREFIX": PREFIX, "PENSTOCK_PORT": str(self.port)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or not done.returncode, f"{arguments}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def up(self) -> None:
        """Start everything and wait until it is healthy."""
        try:
            self.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", str(UP_SECONDS))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.compose('logs', '--tail', '20', check=False)}") from None

    def penstock(self, *arguments: str) -> str:
        """What the operator's command says."""
        return self.compose("run", "--rm", "--no-TTY", "penstock", *arguments)

    def settings(self) -> dict[str, str]:
        """What `init` wrote."""
        lines = (self.home / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def client(self) -> openai.OpenAI:
        """The official client with the key that `init` made."""
        url = f"http://127.0.0.1:{self.port}/v1"
        return openai.OpenAI(base_url=url, api_key=self.settings()["API_KEY"], max_retries=0, timeout=60)


@contextmanager
def running(bus: str, home: Path, engine: dict[str, str]) -> Iterator[Stack]:
    """A stack for the length of a block; nothing is left of it."""
    home.mkdir()
    shutil.copy(COMPOSE / "init", home)
    subprocess.run([home / "init", "--bus", bus], check=True, stdout=subprocess.DEVNULL)
    stack = Stack(bus, home, free_ports(1)[0], engine)
    try:
        stack.compose("build")
        stack.up()
        yield stack
    finally:
        stack.compose("--profile", "*", "down", "--volumes", "--timeout", "20", check=False)


@pytest.fixture(scope="session")
def engine() -> Iterator[dict[str, str]]:
    """Docker with the official images where it answers, else podman with what stands in for them."""
    if docker_answers():
        yield {}
        return
    with podman_engine() as environment:
        yield environment


@pytest.fixture(scope="module", params=["nats", "rabbitmq"])
def stack(request: Any, engine: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack on each bus."""
    with running(request.param, tmp_path_factory.mktemp("stack") / request.param, engine) as made:
        yield made
