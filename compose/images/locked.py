"""Print the part of requirements.lock that members of this repository need, with its versions and hashes.

    python3 locked.py LOCK MEMBER… [--also PACKAGE]… [--without PACKAGE]…

A member is a folder with a pyproject.toml. The lock says under each requirement who asked for it; following that
backwards from a member gives what belongs into its image, and nothing of the build or the tests. Standard library
only: it runs before anything is installed.
"""

import argparse
import re
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
ENTRY = re.compile(r"^(?=[A-Za-z0-9])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement of the lock as it is written, and the packages that asked for it."""

    name: str
    text: str
    wanted_by: frozenset[str]


def requirements(lock: str) -> Iterator[Requirement]:
    """The requirements of a lock file made by `uv pip compile`."""
    for entry in ENTRY.split(lock)[1:]:
        lines = [line.strip() for line in entry.splitlines() if line.strip()]
        comments = [line.removeprefix("#").strip().removeprefix("via").strip() for line in lines if line[0] == "#"]
        text = "\n".join(line for line in lines if line[0] != "#")
        yield Requirement(_name(text), text, frozenset(map(_name, comments)) - {""})


def needed(lock: str, packages: Collection[str], without: Collection[str] = ()) -> list[Requirement]:
    """The packages themselves where the lock has them, and what they need, directly or through others."""
    locked = [each for each in requirements(lock) if each.name not in without]
    reached = set(packages)
    while more := {each.name for each in locked if each.name not in reached and each.wanted_by & reached}:
        reached |= more
    return [each for each in locked if each.name in reached]


def member_name(folder: Path) -> str:
    """What the pyproject.toml in the folder calls its package."""
    name: str = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["name"]
    return name


def main() -> None:
    """Print the requirements, one block each."""
    parser = argparse.ArgumentParser(description="Print the part of a lock file that members of a repository need.")
    parser.add_argument("lock", type=Path)
    parser.add_argument("members", nargs="*", type=Path)
    parser.add_argument("--also", action="append", default=[])
    parser.add_argument("--without", action="append", default=[])
    given = parser.parse_args()
    wanted = {*map(member_name, given.members), *given.also}
    print("\n".join(each.text for each in needed(given.lock.read_text(), wanted, given.without)))


def _name(text: str) -> str:
    found = NAME.match(text)
    return found[0] if found else ""


if __name__ == "__main__":
    main()
