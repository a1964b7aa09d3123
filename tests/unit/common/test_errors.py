"""What clients are told of an error, and what only operators are."""

import pytest

from penstock_api.domain.errors import failure_of as told_by_api
from penstock_common.errors import BusUnavailable, DatabaseUnavailable, MessageTooLarge, PenstockError
from penstock_inference.domain.ending import failure_of as told_by_inference


@pytest.mark.parametrize("error", [BusUnavailable("NATS at 10.0.0.7"), DatabaseUnavailable("select secret: gone")])
def test_servers_and_statements_are_not_named_to_clients(error: PenstockError) -> None:
    """The code and a sentence to act on stay."""
    for told in (told_by_api(error), told_by_inference(error)):
        assert told.code == error.code
        assert told.message.endswith("can't be reached; try again shortly.")
    assert error.message in ("NATS at 10.0.0.7", "select secret: gone")


def test_other_errors_say_what_they_say() -> None:
    """What was wrong with the request is the client's to know."""
    assert told_by_api(MessageTooLarge("7 MB, at most 6")).message == "7 MB, at most 6"
