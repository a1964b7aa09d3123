"""Keys of engines in the data folder."""

from pathlib import Path

import pytest

from penstock.platform.errors import PlatformError
from penstock.platform.folder import DataFolder
from penstock.secrets import seal_from_environment
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_inference.adapters.secrets import Secrets


def test_inference_opens_what_the_command_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variable's name, in place of an earlier value; nobody else reads the file, and nothing in it is clear."""
    folder = DataFolder(tmp_path)
    secrets = Secrets(tmp_path / "secrets", Sealer(LocalKeyring(tmp_path / "keyring")), {})
    for value in ("sk-first", "sk-second"):
        monkeypatch.setenv("A_KEY", f" {value}\n")
        seal_from_environment(folder, "A_KEY")
        assert secrets.resolve("A_KEY") == value
    (sealed,) = (tmp_path / "secrets").iterdir()
    assert (sealed.name, sealed.stat().st_mode & 0o777) == ("A_KEY.sealed", 0o600)
    assert b"sk-second" not in sealed.read_bytes()


def test_a_variable_that_is_not_set_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written, and the sentence says what to do."""
    monkeypatch.setenv("A_KEY", " ")
    with pytest.raises(PlatformError, match="export A_KEY="):
        seal_from_environment(DataFolder(tmp_path), "A_KEY")
    assert not list(tmp_path.rglob("*.sealed"))
