"""What a bad disk, a torn write or a cosmic ray does to a store of files; the seed says which, and where."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PAGE = 512  # bytes


def flip(path: Path, rng: random.Random) -> str:
    """Flip one to eight bits."""
    data = bytearray(path.read_bytes())
    places = [rng.randrange(len(data) * 8) for _ in range(rng.randint(1, 8))]
    for bit in places:
        data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    return f"{len(places)} bits flipped"


def truncate(path: Path, rng: random.Random) -> str:
    """Cut it off anywhere."""
    size = rng.randrange(path.stat().st_size)
    with path.open("r+b") as file:
        file.truncate(size)
    return f"truncated to {size} bytes"


def blank(path: Path, rng: random.Random) -> str:
    """Zeros where a page was not written."""
    data = bytearray(path.read_bytes())
    start = rng.randrange(len(data))
    data[start : start + PAGE] = bytes(len(data[start : start + PAGE]))
    path.write_bytes(data)
    return f"{PAGE} bytes blanked from {start}"


def remove(path: Path, _: random.Random) -> str:
    """It is not there."""
    path.unlink()
    return "removed"


Harm = Callable[[Path, random.Random], str]
HARMS: tuple[Harm, ...] = (flip, truncate, blank, remove)


@dataclass(frozen=True)
class Damage:
    """One seed's damage: of messages, of what was acknowledged, or of what describes them."""

    seed: int

    def do(self, store: Path, heart: str) -> str:
        """Harm a file of the store, in every second seed one whose path contains `heart`; says what was done."""
        rng = random.Random(self.seed)
        files = sorted(path for path in store.rglob("*") if path.is_file() and path.stat().st_size)
        chosen = [path for path in files if heart in str(path)] if self.seed % 2 == 0 else files
        path = rng.choice(chosen)
        harm = HARMS[self.seed // 2 % len(HARMS)]
        return f"seed {self.seed}: {path.relative_to(store)}: {harm(path, rng)}"
