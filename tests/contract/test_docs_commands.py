"""Every command in the documents exists as written, is run by CI, or says why it is not."""

from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from penstock.main import app
from tests.support.docs import Block, blocks, documents, make_targets, misuse

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = [block for path in documents(ROOT) for block in blocks(path)]
PASSES_ARGS_TO = {"up": ["up"], "down": ["down"]}


def refused(words: list[str], penstock: Any, targets: set[str]) -> str | None:
    """Tell what is wrong with one command of an unmarked block."""
    program, *arguments = words
    if program in ("penstock", ".venv/bin/penstock"):
        return misuse(penstock, arguments)
    if program != "make":
        return f"{program} can't be checked: mark the block `<!-- run: platform -->` or `<!-- not run in CI: why -->`"
    for argument in arguments:
        name, is_assignment, value = argument.partition("=")
        if not is_assignment and name not in targets:
            return f"the Makefile has no target {name}"
        for target in PASSES_ARGS_TO.keys() & arguments if name == "ARGS" else ():
            if problem := misuse(penstock, [*PASSES_ARGS_TO[target], *value.split()]):
                return problem
    return None


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: f"{b.path.relative_to(ROOT)}:{b.line}")
def test_block_works_or_says_why_it_is_not_run(block: Block) -> None:
    """An unmarked block holds only commands that exist; a marker names its runner or gives a reason."""
    if block.marker:
        kind, text = block.marker
        assert text == "platform" if kind == "run" else len(text) > 3, f"{block.where}: {block.marker}"
        return
    penstock, targets = get_command(app), make_targets(ROOT / "Makefile")
    wrong = [problem for words in block.commands() if (problem := refused(words, penstock, targets))]
    assert not wrong, f"{block.where}: {wrong}"


def test_the_documents_have_commands() -> None:
    """The check above has something to check: a newcomer's commands are written down."""
    unmarked = [block for block in BLOCKS if block.marker is None]
    assert {"make", ".venv/bin/penstock"} <= {words[0] for block in unmarked for words in block.commands()}


def test_the_task_that_is_shown_is_the_one_that_is_applied() -> None:
    """What a reader copies is what the commands below it use."""
    assert (ROOT / "examples/greet.yaml").read_text() in (ROOT / "docs/howto/tasks.md").read_text()
