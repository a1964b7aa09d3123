"""Which bus a start uses: the one the platform was moved to, unless the operator names another."""

from pathlib import Path

import pytest

from penstock.platform.chosen_bus import EMBEDDED, Choice, load_choice
from penstock.platform.folder import DataFolder

OLD, NEW, OTHER = "nats://old", "amqp://new", "nats://other"


@pytest.mark.parametrize("option", [None, OLD])
def test_without_a_move_it_is_what_was_asked_for(tmp_path: Path, option: str | None) -> None:
    """The embedded one where nothing was."""
    choice = load_choice(DataFolder(tmp_path), option)
    assert (choice.use, choice.url, choice.moving_to) == (option or EMBEDDED, option, "")


@pytest.mark.parametrize("option", [None, OLD, NEW])
def test_a_move_outlives_a_stop(tmp_path: Path, option: str | None) -> None:
    """Whether the start says nothing, the bus of before the move, or the new one."""
    folder = DataFolder(tmp_path)
    Choice(OLD, OLD).moving(NEW).arrived().save(folder)
    assert load_choice(folder, option) == Choice(NEW, OLD)


@pytest.mark.parametrize("option", [None, OLD])
def test_a_move_that_was_broken_off_is_remembered(tmp_path: Path, option: str | None) -> None:
    """The platform starts where it was, and knows where it was going."""
    folder = DataFolder(tmp_path)
    load_choice(folder, option).moving(NEW).save(folder)
    choice = load_choice(folder, option)
    assert (choice.url, choice.moving_to) == (option, NEW)


def test_another_bus_counts_more_than_a_move(tmp_path: Path) -> None:
    """The operator's new word: the move is forgotten for good."""
    folder = DataFolder(tmp_path)
    Choice(OLD, OLD).moving(NEW).arrived().save(folder)
    assert load_choice(folder, OTHER) == Choice(OTHER, OTHER)
    assert load_choice(folder, None).use == EMBEDDED


def test_passwords_in_it_are_its_owners(tmp_path: Path) -> None:
    """Nobody else reads the file."""
    folder = DataFolder(tmp_path)
    Choice(OLD, OLD).save(folder)
    assert folder.bus.stat().st_mode & 0o077 == 0
