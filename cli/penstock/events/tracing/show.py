"""A trace for people."""

from datetime import datetime

from rich.text import Text
from rich.tree import Tree as Drawn

from penstock.events.tracing.node import Mark, Node
from penstock.events.tracing.verdict import Verdict
from penstock.tables import console

STYLES = {Mark.DONE: "", Mark.OPEN: "yellow", Mark.BAD: "bold red"}
SIGNS = {Mark.DONE: "", Mark.OPEN: "… ", Mark.BAD: "✗ "}


def show(sought: str, roots: list[Node], verdict: Verdict) -> None:
    """Print the tree, with the time of each line since the first one, and the verdict."""
    out = console()
    begins = min((node.at for node in roots if node.at), default=None)
    for root in roots:
        out.print(_drawn(root, begins, sought), soft_wrap=True)
    out.print()
    for sentence in verdict.sentences:
        out.print(Text(sentence), soft_wrap=True)


def _drawn(node: Node, begins: datetime | None, sought: str) -> Drawn:
    drawn = Drawn(_line(node, begins, sought), guide_style="dim")
    for child in node.children:
        drawn.children.append(_drawn(child, begins, sought))
    return drawn


def _line(node: Node, begins: datetime | None, sought: str) -> Text:
    line = Text(f"{SIGNS[node.mark]}{node.title}", style=STYLES[node.mark])
    line.append(f"  {_since(node, begins)}", style="dim")
    if node.milliseconds is not None:
        line.append(f" took {node.milliseconds:.0f} ms", style="dim")
    line.append(f"  [{node.service}]" if node.service else "", style="cyan")
    line.append(f"  {node.detail}" if node.detail else "")
    if sought and node.id == sought:
        line.append("  ◀", style="bold")
    return line


def _since(node: Node, begins: datetime | None) -> str:
    if node.at is None:
        return ""
    if begins is None or node.at == begins:
        return f"{node.at:%Y-%m-%d %H:%M:%S}.{node.at.microsecond // 1000:03}Z"
    return f"{(node.at - begins).total_seconds() * 1000:+.0f} ms"
