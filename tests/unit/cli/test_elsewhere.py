"""A platform in containers or on other machines: the environment names it."""

from pathlib import Path

import pytest

from penstock.platform.elsewhere import ADDRESSES, named_addresses
from penstock.platform.errors import PlatformError
from penstock.platform.folder import DataFolder
from penstock.platform.state import running

WHOLE = {name: f"of-{field}" for field, name in ADDRESSES.items()} | {"PENSTOCK_URL": "http://api:8080/"}


def test_nothing_named_is_no_platform() -> None:
    """Other variables, such as the services' own, name none."""
    assert named_addresses({"PENSTOCK_API_HTTP__PORT": "8080", "PENSTOCK_KEY": "psk-x"}) == {}


@pytest.mark.parametrize("missing", sorted(set(WHOLE) - {"PENSTOCK_URL"}))
def test_a_part_is_refused_with_what_is_missing(missing: str) -> None:
    """An empty variable is a missing one."""
    with pytest.raises(PlatformError, match=rf"these have to be set, too: {missing}\.$"):
        named_addresses(WHOLE | {missing: ""})


def test_named_platform_comes_before_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command finds it, and still has a folder for what is sealed there."""
    for name, value in WHOLE.items():
        monkeypatch.setenv(name, value)
    state = running(DataFolder(tmp_path))
    assert (state.base_url, state.admin_key, state.bus) == ("http://api:8080", "of-admin_key", "of-bus")
    assert (state.database, state.audit_database, state.data) == ("of-database", "of-audit_database", str(tmp_path))
