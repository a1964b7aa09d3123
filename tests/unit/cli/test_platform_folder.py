"""The data folder: who may enter, who holds it, and secrets that only their owner reads."""

import os
import stat
from pathlib import Path

import pytest

from penstock.platform.account import Account
from penstock.platform.credentials import load_credentials, load_passwords
from penstock.platform.errors import AlreadyRunning, PlatformError
from penstock.platform.folder import DataFolder, default_data

STRANGER = Account("stranger", uid=54321, gid=54321, foreign=True)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_that_the_servers_account_cannot_reach_is_refused(data_folder: Path) -> None:
    """The sentence names the folder that bars the way and the command that opens it; nothing is made."""
    closed = data_folder.parent / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(PlatformError, match=f"chmod o\\+x {closed}"):
        DataFolder(closed / "data").prepare(STRANGER)
    assert list(closed.iterdir()) == []


def test_the_folder_itself_is_opened_for_the_servers_account(data_folder: Path) -> None:
    """It may be passed through, not listed; parents that are made with it are open even under a strict umask."""
    before = os.umask(0o077)
    try:
        DataFolder(data_folder / "inner").prepare(STRANGER)
    finally:
        os.umask(before)
    assert mode(data_folder) == 0o755
    assert mode(data_folder / "inner") == 0o711


def test_a_folder_for_its_owner_alone_is_closed_to_others(tmp_path: Path) -> None:
    """Without a foreign account nobody else has business there."""
    DataFolder(tmp_path / "data").prepare()
    assert mode(tmp_path / "data") == 0o700


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    """A data folder that can't be made is refused in a sentence."""
    (tmp_path / "data").write_text("")
    with pytest.raises(PlatformError, match="can't be used as data folder"):
        DataFolder(tmp_path / "data").prepare()


def test_the_folder_has_one_holder(tmp_path: Path) -> None:
    """A second holder is refused and told the pid of the first; later the folder is free again."""
    folder = DataFolder(tmp_path)
    with folder.locked(), pytest.raises(AlreadyRunning) as refusal, folder.locked():
        pytest.fail("held twice")
    assert refusal.value.context["pid"] == str(os.getpid())
    with folder.locked():
        pass


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """PENSTOCK_DATA comes before the user's default."""
    monkeypatch.setenv("PENSTOCK_DATA", "/somewhere")
    assert default_data() == Path("/somewhere")


def test_keys_and_passwords_are_made_once_and_private(tmp_path: Path) -> None:
    """The same ones come back at the next start, and nobody else can read them."""
    folder = DataFolder(tmp_path)
    credentials, passwords = load_credentials(folder), load_passwords(folder)
    assert credentials.api_key.startswith("psk-")
    assert credentials.api_key != credentials.admin_key
    assert (load_credentials(folder), load_passwords(folder)) == (credentials, passwords)
    assert mode(folder.credentials) == mode(folder.passwords) == 0o600


def test_a_database_without_its_passwords_is_explained(tmp_path: Path) -> None:
    """New passwords would only fail later, and without a reason."""
    folder = DataFolder(tmp_path)
    (tmp_path / "postgres").mkdir()
    with pytest.raises(PlatformError, match=r"passwords\.json is missing"):
        load_passwords(folder)
