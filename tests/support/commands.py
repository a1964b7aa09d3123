"""The `penstock` command, run to its end in a process that has loaded its code already."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from penstock.main import main
from tests.support.forks import FORKS

ROOT = Path(__file__).parents[2]
SECONDS = 120.0
OUTPUT, ERRORS = "output", "errors"


def penstock(arguments: Sequence[object], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run it from the root of the repository, with nothing to read; raises TimeoutExpired."""
    words = [str(word) for word in arguments]
    with TemporaryDirectory() as folder:
        process = FORKS.Process(target=_run, args=(words, dict(environment), Path(folder)), daemon=True)
        process.start()
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(words, SECONDS)
        output, errors = [(Path(folder) / name).read_text() for name in (OUTPUT, ERRORS)]
    return subprocess.CompletedProcess(words, process.exitcode, output, errors)


def _run(words: list[str], environment: dict[str, str], folder: Path) -> None:
    for name, stream in ((OUTPUT, sys.stdout), (ERRORS, sys.stderr)):
        with (folder / name).open("wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = ["penstock", *words]
    main()
