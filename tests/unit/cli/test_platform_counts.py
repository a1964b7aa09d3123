"""How many processes are asked for: read with mercy for blanks, refused with a sentence."""

import pytest

from penstock.platform.counts import counts
from penstock.platform.credentials import SERVICES
from penstock.platform.errors import PlatformError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("api=2,inference=32", {"api": 2, "inference": 32}),
        (" api = 3 ,", {"api": 3}),
    ],
)
def test_what_is_not_named_has_one(text: str, expected: dict[str, int]) -> None:
    """Every service is there."""
    assert counts(text) == dict.fromkeys(SERVICES, 1) | expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("web=2", "no service 'web'"),
        ("api", "write api=2"),
        ("api=0", "from 1 to 32"),
        ("api=33", "from 1 to 32"),
        ("api=-1", "from 1 to 32"),
        ("api=²", "from 1 to 32"),
        ("api=00000000002", "from 1 to 32"),
        ("api=" + "9" * 10_000, "from 1 to 32"),
    ],
)
def test_what_can_not_be_is_refused(text: str, why: str) -> None:
    """The sentence names the part, and what would do."""
    with pytest.raises(PlatformError, match=why):
        counts(text)
