"""Which archive commands and services are told."""

import socket
from pathlib import Path

import pytest

from penstock.archiving.place import archive_url
from penstock.platform.credentials import Credentials
from penstock.platform.folder import DataFolder
from penstock.platform.services import Wiring
from penstock.platform.slots import Slot
from tests.support.archiving import account_at


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PENSTOCK_ARCHIVE", "PENSTOCK_URL", "PENSTOCK_ARCHIVE__HOT_DAYS"):
        monkeypatch.delenv(name, raising=False)


def test_the_archive_of_a_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own folder, else what the environment names, else what is given."""
    assert archive_url(tmp_path, None) == str(tmp_path / "archive")
    monkeypatch.setenv("PENSTOCK_ARCHIVE", "s3://named")
    assert archive_url(tmp_path, None) == "s3://named"
    assert archive_url(tmp_path, "s3://given") == "s3://given"


def told(tmp_path: Path, archive: str = "") -> dict[str, str]:
    """What billing's process finds in its environment about the archive."""
    wiring = Wiring(
        folder=DataFolder(tmp_path),
        bus="nats://bus",
        databases={"billing": "postgresql://database"},
        public_port=8080,
        credentials=Credentials("psk-a", "psk-b"),
        discover=False,
        log_format="json",
        otlp=None,
        archive=archive,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environment = wiring.program(Slot("billing", 1, listener), 5).env
    return {name: value for name, value in environment.items() if "ARCHIVE" in name or "AWS" in name}


def test_services_archive_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the data folder, by the settings of the environment; credentials for nothing are not passed on."""
    for name, value in account_at("http://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PENSTOCK_ARCHIVE__HOT_DAYS", "30")
    prefix = "PENSTOCK_BILLING_ARCHIVE__"
    assert told(tmp_path) == {f"{prefix}URL": str(tmp_path / "archive"), f"{prefix}HOT_DAYS": "30"}


def test_services_get_the_account_of_a_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the environment has it, and in no setting."""
    for name, value in account_at("http://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    found = told(tmp_path, "s3://bucket/folder")
    assert found["PENSTOCK_BILLING_ARCHIVE__URL"] == "s3://bucket/folder"
    assert found["AWS_SECRET_ACCESS_KEY"] == "secret-of-a-test"
    assert not any("secret" in value for name, value in found.items() if name.startswith("PENSTOCK"))
