"""`penstock dlq` without a platform: options as the API takes them, letters as people read them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from penstock.deadletters.choosing import Filters, query_of
from penstock.deadletters.editing import change_of
from penstock.deadletters.paging import written
from penstock.deadletters.showing import counts_of, story_of
from penstock.platform.errors import PlatformError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_options_become_the_fields_of_the_api() -> None:
    """Ages are moments there; what was not said is not sent."""
    assert Filters().fields(NOW) == {}
    fields = Filters(consumer="billing-*", states=("due", "dropped"), older="1h", newer="1d").fields(NOW)
    assert fields == {
        "consumer": "billing-*",
        "failed_before": "2026-11-21T11:00:00+00:00",
        "failed_since": "2026-11-20T12:00:00+00:00",
        "states": ["due", "dropped"],
    }
    asked = parse_qsl(query_of(fields, after="x", limit=None))
    assert asked.count(("state", "due")) == asked.count(("state", "dropped")) == asked.count(("after", "x")) == 1
    assert ("failed_before", "2026-11-21T11:00:00+00:00") in asked
    assert len(Filters(states=("all",)).fields(NOW)["states"]) == 5


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        (Filters(older="soon"), "--older: 'soon' is no interval"),
        (Filters(newer="9" * 12 + "w"), "--newer: "),
        (Filters(states=("lost",)), "--state: 'lost' is none of waiting"),
    ],
)
def test_what_makes_no_sense_is_named(filters: Filters, words: str) -> None:
    """By the option."""
    with pytest.raises(ValueError, match=words):
        filters.fields(NOW)


def test_changes_are_json_where_they_can_be(tmp_path: Path) -> None:
    """Else text; a whole payload comes from the line or from a file."""
    patch = change_of(["version=7", "model=sim/fast", "tags=[1]", "gone=null", "a==b"], None)
    assert patch == {"patch": {"version": 7, "model": "sim/fast", "tags": [1], "gone": None, "a": "=b"}}
    (file := tmp_path / "payload.json").write_text('{"version": 8}')
    assert change_of([], f"@{file}") == change_of([], '{"version": 8}') == {"payload": {"version": 8}}


@pytest.mark.parametrize(
    ("changes", "payload", "words"),
    [
        ([], None, "--set FIELD=VALUE"),
        (["a=1"], "{}", "either --set"),
        (["a"], None, "is no FIELD=VALUE"),
        ([], "{", "--payload is no JSON"),
        ([], "[1]", "has to be a JSON object"),
        ([], "@/nowhere/file", "can't be read"),
    ],
)
def test_changes_that_are_none_are_named(changes: list[str], payload: str | None, words: str) -> None:
    """By the option."""
    with pytest.raises(ValueError, match=words):
        change_of(changes, payload)


def test_a_story_tells_of_attempts_without_a_word() -> None:
    """How many there were: a process that dies leaves none."""
    attempt = {"number": 1, "at": "2026-11-21T12:00:00.5+00:00", "process": "h:7", "trace": "ab" * 16}
    attempt |= {"code": "KeyError", "reason": "KeyError: 'x'"}
    first, second, rest = story_of([attempt], 4)
    assert first == f"1. 2026-11-21 12:00:00Z  h:7  trace {'ab' * 16}"
    assert second.strip() == "KeyError: KeyError: 'x'"
    assert rest.startswith("and 3 more")
    assert list(story_of([], 2)) == ["2 without a word: its process died, froze or was cut off"]
    assert len(list(story_of([attempt], 1))) == 2


def test_a_dry_run_does_not_say_that_it_was_done() -> None:
    """With the same counts."""
    done: dict[str, Any] = {"by_consumer": {"billing-x": 2}, "count": 2, "dry_run": True, "act_id": None}
    assert list(counts_of(done, "dropped"))[-1].strip() == "2  dead letter(s) would be dropped"
    done |= {"dry_run": False, "act_id": "a1"}
    assert list(counts_of(done, "dropped"))[-1].strip() == "2  dead letter(s) dropped (act a1)"


def test_an_export_never_overwrites(tmp_path: Path) -> None:
    """What is in the file may be all that is left of it."""
    file = tmp_path / "letters.jsonl"
    assert written(iter([{"id": 1}, {"id": 2}]), file) == 2
    assert file.read_text() == '{"id": 1}\n{"id": 2}\n'
    with pytest.raises(PlatformError, match="Name another file"):
        written(iter([]), file)
