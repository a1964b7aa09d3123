"""An act from an operator's options: a new one, or one that goes on."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from penstock.archiving.place import archive_url
from penstock.events.choosing import Choice, ChoiceInvalid, selection_of
from penstock.replay.kept import ActFile, Kept
from penstock.replay.plan import plan_of
from penstock_common.objects_url import objects_at


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options say."""

    choice: Choice
    to: str = ""
    commands: bool = False
    effects: bool = False
    archive: str = ""
    """URL of the archive that is read; empty for the outboxes."""


def begun(wanted: Wanted, data: Path | None, state: Path | None) -> tuple[ActFile, Kept]:
    """A new act, of which nothing is done. Raises ChoiceInvalid, SelectionInvalid, ObjectsUrlInvalid."""
    if wanted.archive:
        objects_at(wanted.archive)
    plan = plan_of(
        selection_of(wanted.choice),
        to=wanted.to,
        commands=wanted.commands,
        effects=wanted.effects,
        archive=wanted.archive,
    )
    return ActFile.of(plan.act, data, state), Kept(plan=plan)


def archive_of(url: str, data: Path | None) -> str:
    """The named archive, else that of the platform on a data folder."""
    return archive_url(data, url)


def resumed(act: UUID, wanted: Wanted, data: Path | None, state: Path | None) -> tuple[ActFile, Kept]:
    """An act that goes on as it was begun. Raises ChoiceInvalid, ActUnknown."""
    if wanted != Wanted(Choice()):
        raise ChoiceInvalid("--resume goes on with what the act was begun with: give it alone.")
    file = ActFile.of(act, data, state)
    kept = file.load()
    if kept.plan.act != act:
        raise ChoiceInvalid(f"{file.path} keeps the act {kept.plan.act}, not {act}.")
    return file, kept
