"""Dead letters from the API, page by page."""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from penstock.client import Client
from penstock.deadletters.choosing import PAGE, PATH, query_of
from penstock.platform.errors import PlatformError

Letter = dict[str, Any]


def letters(client: Client, fields: dict[str, Any], most: int) -> Iterator[Letter]:
    """The first ones, the oldest first."""
    return islice(_pages(client, PATH, fields), most)


def exported(client: Client, fields: dict[str, Any]) -> Iterator[Letter]:
    """All of them, with headers and bodies."""
    return _pages(client, f"{PATH}/export", fields)


def written(found: Iterable[Letter], to: Path | None) -> int:
    """Write a line each, to standard output or a file that is not there yet; how many. Raises PlatformError."""
    if to is None:
        return _write(found, sys.stdout)
    try:
        with to.open("x") as file:
            return _write(found, file)
    except OSError as error:
        raise PlatformError(f"{to} can't be written: {error.strerror}. Name another file.") from error


def _write(found: Iterable[Letter], file: TextIO) -> int:
    count = 0
    for letter in found:
        file.write(f"{json.dumps(letter)}\n")
        count += 1
    return count


def _pages(client: Client, path: str, fields: dict[str, Any]) -> Iterator[Letter]:
    after: str | None = None
    while page := client.get(f"{path}?{query_of(fields, after=after, limit=str(PAGE))}")["dead_letters"]:
        yield from page
        after = page[-1]["id"]
