"""Whether the catalogue shows what was ordered."""

from typing import Any

import pytest

from penstock.served import shows

WANTED = {"input_nano": 1, "output_nano": 2, "aliases": ["b", "a"], "context_tokens": 9, "take_over": ""}
SHOWN: dict[str, Any] = {
    "price": {"input_nano": 1, "output_nano": 2},
    "aliases": ["a", "b"],
    "context_tokens": 9,
    "take_over": "prefix",
}


def test_a_model_as_it_was_ordered_is_served() -> None:
    """What was left out may be anything."""
    assert shows(SHOWN, WANTED)
    assert shows(SHOWN, WANTED | {"take_over": "prefix"})


@pytest.mark.parametrize("other", [{"input_nano": 5}, {"aliases": []}, {"context_tokens": 0}, {"take_over": "fail"}])
def test_another_model_of_its_name_is_waited_out(other: dict[str, Any]) -> None:
    """So is none at all."""
    assert not shows(SHOWN, WANTED | other)
    assert not shows(None, WANTED)
