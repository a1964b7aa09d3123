"""The documentation's command blocks: found with their markers, split into commands, checked against what exists."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

LANGUAGES = ("sh", "bash", "console")
MARKER = re.compile(r"<!--\s*(not run in CI|run):\s*(.*?)\s*-->\s*$")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
SEPARATORS = ("|", "||", "&&", ";", "&")


@dataclass(frozen=True)
class Block:
    """A fenced block of commands; `marker` is the comment before it: ("run", where) or ("not run in CI", why)."""

    path: Path
    line: int
    language: str
    text: str
    marker: tuple[str, str] | None

    @property
    def where(self) -> str:
        """File and line, as an editor takes them."""
        return f"{self.path}:{self.line}"

    def lines(self) -> Iterator[str]:
        """Give each command line whole: continuations joined, comments and a console's output left out."""
        written = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            written = [line[2:] for line in written if line.startswith("$ ")]
        stripped = (line.strip() for line in written)
        return (line for line in stripped if line and not line.startswith("#"))

    def commands(self) -> Iterator[list[str]]:
        """Give the words of each simple command, without assignments before it."""
        for line in self.lines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
            lexer.whitespace_split = True
            words: list[str] = []
            for word in [*lexer, ";"]:
                if word not in SEPARATORS:
                    words.append(word)
                    continue
                while words and ASSIGNMENT.match(words[0]):
                    words.pop(0)
                if words:
                    yield words
                words = []


def blocks(path: Path) -> Iterator[Block]:
    """Give the command blocks of a Markdown file in order, those in lists and quotes too."""
    marker = None
    for token in MarkdownIt().parse(path.read_text()):
        if token.type == "fence" and token.info.split(" ")[0] in LANGUAGES:
            assert token.map is not None
            yield Block(path, token.map[0] + 1, token.info.split(" ")[0], token.content, marker)
        found = MARKER.search(token.content.strip()) if token.type == "html_block" else None
        marker = (found[1], found[2]) if found else None


def documents(root: Path) -> list[Path]:
    """Give the Markdown files whose commands are promised to work."""
    top = [root / name for name in ("README.md", "CONTRIBUTING.md") if (root / name).exists()]
    return [*top, *sorted((root / "docs").rglob("*.md"))]


def run_on_platform(root: Path) -> list[Block]:
    """Give the blocks that are promised to work on a running platform, in the order of the documents."""
    return [b for path in documents(root) for b in blocks(path) if b.marker == ("run", "platform")]


def make_targets(makefile: Path) -> set[str]:
    """Give the targets of a Makefile."""
    return set(re.findall(r"^([a-z][\w-]*):", makefile.read_text(), re.MULTILINE))


def misuse(command: Any, arguments: Sequence[str]) -> str | None:
    """Tell what a Typer or Click command would refuse: an unknown sub-command or option, too many or few arguments."""
    rest = list(arguments)
    positional = 0
    while rest:
        word = rest.pop(0)
        if word == "--help":
            return None
        if word.startswith("-") and word != "-":
            name, _, value = word.partition("=")
            option = options(command).get(name)
            if option is None:
                return f"{command.name} has no option {name}"
            if not option.is_flag and not value:
                if not rest:
                    return f"{name} wants a value"
                rest.pop(0)
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return f"{command.name} has no sub-command {word}"
            command = command.commands[word]
        else:
            positional += 1
    return wrong_count(command, positional)


def options(command: Any) -> Mapping[str, Any]:
    """Give a command's options by each of their spellings."""
    found = [p for p in command.params if p.param_type_name == "option"]
    return {name: option for option in found for name in (*option.opts, *option.secondary_opts)}


def wrong_count(command: Any, given: int) -> str | None:
    """Tell whether a command was given too few or too many arguments, or a group no sub-command."""
    if hasattr(command, "commands"):
        return None if command.invoke_without_command else f"{command.name} wants a sub-command"
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    if given < sum(a.required for a in arguments):
        return f"{command.name} wants more arguments"
    if given > len(arguments) and all(a.nargs == 1 for a in arguments):
        return f"{command.name} wants fewer arguments"
    return None
