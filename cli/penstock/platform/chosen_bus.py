"""Which bus a data folder's platform uses: the one that `penstock up` named, unless it was moved since."""

from dataclasses import asdict, dataclass, replace

from penstock.platform.files import read_json, write_json
from penstock.platform.folder import DataFolder

EMBEDDED = "embedded"
"""The bus that the platform runs itself, in place of a URL."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The bus in use, and where the platform is on its way to. The URLs contain passwords: the file is its owner's."""

    use: str
    instead_of: str
    """What `penstock up` was told when the platform was moved."""
    moving_to: str = ""

    @property
    def url(self) -> str | None:
        """For clients; None for the embedded one, which has another at each start."""
        return None if self.use == EMBEDDED else self.use

    def save(self, folder: DataFolder) -> None:
        """From now on every start uses it."""
        write_json(folder.bus, asdict(self))

    def moving(self, to: str) -> "Choice":
        """The same on its way to another bus; to none for an empty one."""
        return replace(self, moving_to=to)

    def arrived(self) -> "Choice":
        """On the bus that it was on its way to."""
        return replace(self, use=self.moving_to, moving_to="")


def load_choice(folder: DataFolder, option: str | None) -> Choice:
    """The bus to use where `penstock up` is told `option`: one that it was not told before counts more than a move."""
    named = option or EMBEDDED
    known = read_json(folder.bus)
    if not known:
        return Choice(named, named)
    choice = Choice(**known)
    if option and option not in (choice.instead_of, choice.use):
        folder.bus.unlink()
        return Choice(named, named)
    return choice
