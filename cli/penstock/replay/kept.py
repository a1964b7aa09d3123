"""How far an act is, in a file of its own: who is killed goes on behind the last message that the bus confirmed."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import msgspec

from penstock.platform.errors import PlatformError
from penstock.platform.files import write_private
from penstock.platform.folder import DataFolder
from penstock.replay.plan import Plan

FOLDER = "acts"


class ActUnknown(PlatformError):
    """There is no file of this act."""

    code = "cli.act_unknown"


class ActTaken(PlatformError):
    """Another process carries this act out now."""

    code = "cli.act_taken"


class Kept(msgspec.Struct, kw_only=True):
    """An act and how far it is."""

    plan: Plan
    after: UUID | None = None
    """The row behind which it goes on; None before the first."""
    published: int = 0
    topics: dict[str, int] = {}
    damaged: list[str] = []
    """What of the archive could not be read; it was not said again."""
    done: bool = False

    def passed(self, subjects: list[str], last: UUID) -> None:
        """The bus has confirmed messages of these subjects; `last` is the row of the last."""
        self.after = last
        self.published += len(subjects)
        for subject in subjects:
            self.topics[subject] = self.topics.get(subject, 0) + 1


class ActFile:
    """The file of one act."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, act: UUID, data: Path | None, state: Path | None) -> "ActFile":
        """The named file, else that of the act in the data folder."""
        return cls(state or DataFolder.at(data).root / FOLDER / f"{act}.json")

    def save(self, kept: Kept) -> None:
        """Replace it in one step. Raises PlatformError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_private(self.path, msgspec.json.encode(kept).decode())
        except OSError as error:
            raise self._unwritable(error) from error

    def load(self) -> Kept:
        """What is kept. Raises ActUnknown."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Kept)
        except FileNotFoundError:
            raise ActUnknown(f"There is no act at {self.path}. Begun with --state? Name that file again.") from None
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            raise ActUnknown(f"{self.path} is not the file of an act: {error}.") from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else carries the act out meanwhile. Raises ActTaken, PlatformError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.with_name(f".{self.path.name}.lock").open("w")
        except OSError as error:
            raise self._unwritable(error) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ActTaken(f"Another process carries out the act of {self.path} now.") from None
            yield

    def _unwritable(self, error: OSError) -> PlatformError:
        return PlatformError(f"{self.path} can't be written: {error.strerror}. Name another file: --state FILE")
