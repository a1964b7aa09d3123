"""llama.cpp's server from its source: fetched and compiled once, kept in a cache folder.

`python -m tests.support.llama_build` does it ahead of time.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.cache import cache_folder

GIVEN = "PENSTOCK_TEST_LLAMA_SERVER"
PACKAGE = "llama-cpp-python"  # its source archive holds llama.cpp's whole source, at a known revision
VERSION = "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
TOOLS = ("cmake==4.4.4", "ninja==1.13.2")
SOURCE = "vendor/llama.cpp"
OPTIMIZE = "-O1"  # compiles in half of the time of -O3, and the tiny model is fast with either
SETTINGS = {
    "CMAKE_BUILD_TYPE": "Release",
    "CMAKE_C_FLAGS_RELEASE": OPTIMIZE,
    "CMAKE_CXX_FLAGS_RELEASE": OPTIMIZE,
    "BUILD_SHARED_LIBS": "OFF",
    "GGML_NATIVE": "OFF",  # a cache folder may move to another machine
    "GGML_OPENMP": "OFF",
    "GGML_LLAMAFILE": "OFF",
    "GGML_CPU_REPACK": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
    "LLAMA_OPENSSL": "OFF",
}
SAID = 1000  # characters of a compiler's last words that help
HELP = (
    "llama.cpp's server is needed by the tests and could not be built ({reason}). Install a C++ compiler (Debian, "
    f"Ubuntu: apt-get install g++) and let pip reach a package index; or name a llama-server of yours in {GIVEN}."
)


class LlamaMissing(RuntimeError):
    """The server is neither named nor to be had; the message says what to do."""


def llama_program() -> Path:
    """The server's executable, after minutes where it was never built; raises LlamaMissing with what to do."""
    if given := os.environ.get(GIVEN):
        return Path(given)
    program = cache_folder() / f"llama-server-{VERSION}"
    with program.with_name("llama.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _build(program)
    return program


def _build(program: Path) -> None:
    if not shutil.which("c++"):
        raise LlamaMissing(HELP.format(reason="there is no `c++` on the PATH"))
    scratch = program.with_name("llama.new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        _fetch(scratch)
        built = _compile(scratch)
    except (OSError, tarfile.TarError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stdout", "") + getattr(error, "stderr", "") or str(error)
        raise LlamaMissing(HELP.format(reason=said.strip()[-SAID:])) from error
    built.rename(program)
    shutil.rmtree(scratch)


def _fetch(scratch: Path) -> None:
    pinned = scratch / "pinned.txt"
    pinned.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n")
    only_source = ("--no-deps", "--no-binary", PACKAGE, "--require-hashes", "-r", str(pinned))
    _pip("download", *only_source, "--dest", str(scratch))
    (archive,) = scratch.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(scratch, [m for m in packed if f"/{SOURCE}/" in m.name], filter="data")
    _pip("install", "--target", str(scratch / "tools"), *TOOLS)


def _compile(scratch: Path) -> Path:
    (source,) = scratch.glob(f"*/{SOURCE}")
    tools, build = scratch / "tools", scratch / "build"
    environment = os.environ | {"PYTHONPATH": str(tools), "PATH": f"{tools / 'bin'}:{os.environ['PATH']}"}
    settings = [f"-D{name}={value}" for name, value in SETTINGS.items()]
    _run("cmake", "-S", str(source), "-B", str(build), "-G", "Ninja", *settings, environment=environment)
    _run("nice", "ninja", "-C", str(build), "llama-server", environment=environment)
    return build / "bin/llama-server"


def _pip(*arguments: str) -> None:
    _run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def _run(*command: str, environment: Mapping[str, str] | None = None) -> None:
    subprocess.run(command, env=environment, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    print(llama_program())
