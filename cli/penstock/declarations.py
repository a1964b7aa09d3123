"""Declared tasks as files: YAML or JSON."""

import sys
from pathlib import Path
from typing import Any

import yaml

from penstock.platform.errors import PlatformError
from penstock_common.errors import Fault
from penstock_common.tasks.checks import MAX_BYTES


class DeclarationUnreadable(PlatformError):
    """The file is not a declaration."""

    code = "cli.declaration_unreadable"
    fault = Fault.INVALID


def read_declaration(path: str, name: str | None) -> tuple[str, dict[str, Any]]:
    """The name and the declaration in a file, `-` for standard input. Raises DeclarationUnreadable."""
    try:
        raw = sys.stdin.buffer.read(MAX_BYTES + 1) if path == "-" else _start_of(Path(path))
        declaration = yaml.safe_load(raw)
    except OSError as error:
        raise DeclarationUnreadable(f"{path} can't be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        place = f" at line {where.line + 1}, column {where.column + 1}" if where else ""
        raise DeclarationUnreadable(f"{path} is neither YAML nor JSON{place}.") from error
    if len(raw) > MAX_BYTES:
        raise DeclarationUnreadable(f"{path} is larger than 64 KiB; put large texts into the run's input.")
    if not isinstance(declaration, dict):
        raise DeclarationUnreadable(f"{path} must hold an object with `name` and `steps`.")
    given = name or declaration.pop("name", None)
    declaration.pop("name", None)
    if not isinstance(given, str) or not given:
        raise DeclarationUnreadable(f"{path} has no `name`: add one, or give --name.")
    return given, declaration


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)
