"""Keys of engines."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from penstock_common.sealing import PLATFORM_SUBJECT, LocalKeyring, Sealer, secret_context
from penstock_inference.adapters.secrets import Secrets


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    """A sealer with a keyring of its own."""
    return Sealer(LocalKeyring(tmp_path / "keys"))


def keep(folder: Path, sealer: Sealer, name: str, key: str, under: str = "") -> Path:
    """Seal a key as the command line does; `under` seals it for another name."""
    path = folder / f"{name}.sealed"
    path.write_bytes(sealer.seal(PLATFORM_SUBJECT, secret_context(under or name), key.encode()))
    return path


def test_a_sealed_key_comes_before_the_environment(tmp_path: Path, sealer: Sealer) -> None:
    """The variable serves where there is no file, or an empty one counts as none."""
    secrets = Secrets(tmp_path, sealer, {"A_KEY": "from-env", "B_KEY": "from-env", "C_KEY": ""})
    keep(tmp_path, sealer, "A_KEY", "from-file\n")
    assert [secrets.resolve(name) for name in ("A_KEY", "B_KEY", "C_KEY", "D_KEY")] == [
        "from-file",
        "from-env",
        None,
        None,
    ]


def test_a_changed_key_is_read_again(tmp_path: Path, sealer: Sealer) -> None:
    """Without a restart."""
    secrets = Secrets(tmp_path, sealer, {})
    path = keep(tmp_path, sealer, "A_KEY", "old")
    assert secrets.resolve("A_KEY") == "old"
    keep(tmp_path, sealer, "A_KEY", "new")
    os.utime(path, ns=(1, 1))
    assert secrets.resolve("A_KEY") == "new"
    path.unlink()
    assert secrets.resolve("A_KEY") is None


def test_an_unreadable_key_is_no_key(tmp_path: Path, sealer: Sealer) -> None:
    """Not even the environment's: the operator meant the file. The log names the secret, never its text."""
    secrets = Secrets(tmp_path, sealer, {"A_KEY": "from-env", "B_KEY": "from-env"})
    keep(tmp_path, sealer, "A_KEY", "sk-moved", under="OTHER_KEY")
    (tmp_path / "B_KEY.sealed").write_bytes(b"sk-plain")
    with capture_logs() as logs:
        assert [secrets.resolve(name) for name in ("A_KEY", "B_KEY")] == [None, None]
    assert [entry["secret"] for entry in logs] == ["A_KEY", "B_KEY"]
    assert "sk-" not in str(logs)


@pytest.mark.parametrize("name", ["../A_KEY", "A/B", "", "A_KEY\n", ".", "A" * 200])
def test_names_are_no_paths(name: str, tmp_path: Path, sealer: Sealer) -> None:
    """A name that is not a variable's leads nowhere."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    keep(tmp_path, sealer, "A_KEY", "outside")
    assert Secrets(folder, sealer, {name: "found"}).resolve(name) is None
