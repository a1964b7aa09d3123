"""`python -m tests.contract.make_golden`: write samples of what is new; refuse to change what was released."""

import json
import sys
from pathlib import Path
from typing import Any

from penstock_common.contracts.stream import pack
from tests.contract import frames
from tests.contract.examples import example
from tests.contract.golden import FOLDER, SAID, Said, broken, described, samples_of


def missing(said: Said, folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Contents of the golden files that a name still lacks: the least message, and one with every field of today."""
    wanted = [example(said.contract, every=every) for every in (False, True)]
    known = [fields_of(sample.sent) for sample in samples_of(said, folder)]
    contents = [described(message, said.wire) for message in wanted]
    lacking = [content for content in contents if fields_of(content["sent"]) not in known]
    return [content for at, content in enumerate(lacking) if content not in lacking[:at]]


def fields_of(sent: Any, path: str = "$") -> frozenset[str]:
    """The paths of all fields in a message, those of its parts included."""
    parts: list[tuple[str, Any]] = []
    if isinstance(sent, dict):
        parts = [(f"{path}.{key}", value) for key, value in sent.items()]
    elif isinstance(sent, list):
        parts = [(f"{path}[]", value) for value in sent]
    return frozenset({path}).union(*(fields_of(value, at) for at, value in parts))


def write(said: Said, folder: Path = FOLDER) -> list[Path]:
    """Write what is missing under the next free numbers."""
    taken = len(samples_of(said, folder))
    paths = []
    for number, content in enumerate(missing(said, folder), taken + 1):
        paths.append(folder / f"{said.name}.{number}.json")
        paths[-1].write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return paths


def write_frames() -> None:
    """Add the frames that have no golden form yet."""
    packed = {name: pack(made).hex() for name, made in frames.FRAMES.items()}
    frames.PATH.write_text(json.dumps(packed | frames.released(), indent=1) + "\n")


def main() -> None:
    """Exit 1, and change nothing, where a released message would be read otherwise than before."""
    FOLDER.mkdir(exist_ok=True)
    if problems := [line for said in SAID for sample in samples_of(said) for line in broken(sample)]:
        sys.exit("\n".join(["released messages never change; make a new version instead:", *problems]))
    for said in SAID:
        for path in write(said):
            print(path.relative_to(FOLDER))
    write_frames()


if __name__ == "__main__":
    main()
