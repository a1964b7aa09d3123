"""What clients may ask of runs."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from penstock_api.domain.errors import InvalidRequest
from penstock_api.domain.run_orders import is_fresh, resume_after
from penstock_common.ids import uuid7


@pytest.mark.parametrize(
    ("after", "header", "version"),
    [(None, None, 0), (3, None, 3), (3, "9", 3), (None, "9", 9), (None, "", 0), (0, "9", 0)],
)
def test_a_stream_goes_on_where_it_was(after: int | None, header: str | None, version: int) -> None:
    """The parameter goes before the header."""
    assert resume_after(after, header) == version


@pytest.mark.parametrize("header", ["x", "-1", "1.5", "²", "9" * 30, " 1"])
def test_an_id_that_is_none_is_refused(header: str) -> None:
    """It belongs to no run."""
    with pytest.raises(InvalidRequest, match="Last-Event-ID"):
        resume_after(None, header)


def test_a_run_is_waited_for_only_when_it_can_be_new() -> None:
    """An id of another time, or not of ours, is not there at once."""
    now = datetime.now(UTC)
    assert is_fresh(uuid7(), now)
    assert not is_fresh(uuid7(), now + timedelta(seconds=11))
    assert not is_fresh(uuid4(), now)
