"""Tasks as files, and their events on a terminal."""

from pathlib import Path

import pytest

from penstock.client import _events_of
from penstock.declarations import DeclarationUnreadable, read_declaration

TASK = "name: greet\nsteps:\n  - {kind: run, name: below, task: other}\n"


def test_a_file_is_yaml_or_json(tmp_path: Path) -> None:
    """Its name is not part of the declaration; one that is given goes before it."""
    yaml, json = tmp_path / "a.yaml", tmp_path / "a.json"
    yaml.write_text(TASK)
    json.write_text('{"name": "greet", "steps": [{"kind": "run", "name": "below", "task": "other"}]}')
    declaration = {"steps": [{"kind": "run", "name": "below", "task": "other"}]}
    assert read_declaration(str(yaml), None) == read_declaration(str(json), None) == ("greet", declaration)
    assert read_declaration(str(yaml), "hello") == ("hello", declaration)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [", "neither YAML nor JSON at line"),
        ("- a", "must hold an object"),
        ("steps: []", "has no `name`"),
        ("name: 3", "has no `name`"),
        ("name: a\nx: !!python/object/apply:os.system [ls]", "neither YAML nor JSON"),
        (f"name: a\nx: {'y' * 70_000}", "larger than 64 KiB"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: str, said: str) -> None:
    """With the reason and the place."""
    path = tmp_path / "a.yaml"
    path.write_text(content)
    with pytest.raises(DeclarationUnreadable, match=said):
        read_declaration(str(path), None)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """As the system says it."""
    with pytest.raises(DeclarationUnreadable, match="No such file"):
        read_declaration(str(tmp_path / "absent"), None)


def test_events_are_read_line_by_line() -> None:
    """Comments are not events."""
    lines = [
        "id: 1",
        "event: run.started",
        'data: {"a": 1}',
        "",
        ": still here",
        "",
        "id: 2",
        "event: x",
        "data: 2",
        "",
    ]
    assert list(_events_of(iter(lines))) == [
        {"id": "1", "event": "run.started", "data": {"a": 1}},
        {"id": "2", "event": "x", "data": 2},
    ]
