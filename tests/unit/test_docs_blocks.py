"""The documentation's command blocks are found, split and judged rightly."""

from pathlib import Path

import pytest
import typer
from typer.main import get_command

from tests.support.docs import Block, blocks, make_targets, misuse

DOCUMENT = """
# Title
<!-- run: platform -->
```console
$ penstock usage --json | jq .
{"requests": 1}
$ A=1 B=2 make up ARGS="--port 9000" && curl -s \\
    http://127.0.0.1:9000/healthz
```
text between
```sh
# a comment
make test
```
1. In a list
   <!-- not run in CI: needs a cluster -->

   ```bash
   kubectl apply -k .
   ```

```python
import penstock
```
"""


@pytest.fixture
def found(tmp_path: Path) -> list[Block]:
    """Give the blocks of the document above."""
    path = tmp_path / "document.md"
    path.write_text(DOCUMENT)
    return list(blocks(path))


def test_blocks_carry_their_own_marker_and_place(found: list[Block]) -> None:
    """A marker belongs to the block right after it, in lists too; other languages are left out."""
    assert [(b.language, b.marker, b.line) for b in found] == [
        ("console", ("run", "platform"), 4),
        ("sh", None, 11),
        ("bash", ("not run in CI", "needs a cluster"), 18),
    ]


def test_commands_are_split_as_a_shell_would(found: list[Block]) -> None:
    """Pipes and && separate, quotes and continuations join, output, comments and assignments are left out."""
    assert [list(b.commands()) for b in found] == [
        [
            ["penstock", "usage", "--json"],
            ["jq", "."],
            ["make", "up", "ARGS=--port 9000"],
            ["curl", "-s", "http://127.0.0.1:9000/healthz"],
        ],
        [["make", "test"]],
        [["kubectl", "apply", "-k", "."]],
    ]


def test_make_targets_are_read(tmp_path: Path) -> None:
    """Targets are found, variables and recipes are not."""
    makefile = tmp_path / "Makefile"
    makefile.write_text("BIN := x\n.PHONY: up\nup: bootstrap ## start\n\t@echo no: target\n")
    assert make_targets(makefile) == {"up"}


app = typer.Typer()
models = typer.Typer()
app.add_typer(models, name="models")


@app.command()
def up(port: int = 8080, json: bool = False) -> None:
    """Start."""


@models.command("add")
def add(name: str, url: str = typer.Option(...)) -> None:
    """Add a model."""


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("up", None),
        ("up --port 9000 --json", None),
        ("up --port=9000 --no-json", None),
        ("models add mock --url http://x", None),
        ("models add --help", None),
        ("down", "has no sub-command down"),
        ("models remove x", "has no sub-command remove"),
        ("models", "wants a sub-command"),
        ("up --prot 9000", "up has no option --prot"),
        ("up --port", "--port wants a value"),
        ("up now", "up wants fewer arguments"),
        ("models add --url http://x", "add wants more arguments"),
    ],
)
def test_misuse_is_told(line: str, problem: str | None) -> None:
    """What the command would refuse is told by name; what it takes is not."""
    told = misuse(get_command(app), line.split())
    assert told is None if problem is None else problem in (told or "")
