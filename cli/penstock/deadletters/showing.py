"""Dead letters for people."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from penstock.tables import console, table
from penstock.timings import clock

REASON = 80  # characters on a line of a list
UNTOLD = "without a word: its process died, froze or was cut off"


def show_list(letters: Sequence[dict[str, Any]]) -> None:
    """One line each, the oldest first."""
    shown = table("id", "consumer", "state", "attempts", "retries", "last failed", "code", "reason")
    for letter in letters:
        shown.add_row(
            letter["id"],
            letter["consumer"],
            letter["state"],
            str(letter["attempts"]),
            str(letter["retries"]),
            clock(letter["last_failed_at"]),
            letter["code"],
            letter["reason"][:REASON],
        )
    console().print(shown)


def lines_of(letter: dict[str, Any]) -> Iterator[str]:
    """Everything about one letter."""
    yield f"{letter['id']}  {letter['state']}, retried {letter['retries']} time(s)"
    for name in ("consumer", "topic", "message_id", "tenant"):
        yield f"  {name:<12} {letter[name] or '-'}"
    yield f"  {'failed':<12} {clock(letter['first_failed_at'])} to {clock(letter['last_failed_at'])}"
    yield f"  {'because':<12} {letter['code']}: {letter['reason']}"
    yield f"  {'a retry':<12} {letter['because']}"
    yield "attempts:"
    yield from (f"  {line}" for line in story_of(letter["story"], letter["attempts"]))
    for edit in letter["edited"]:
        yield f"edit {edit['number']} by {edit['actor']} at {clock(edit['at'])}"
    yield "payload:" if not letter["problem"] else f"payload, which is not as its topic says: {letter['problem']}"
    yield json.dumps(letter["payload"], indent=2, ensure_ascii=False)
    if letter["original"] is not None:
        yield "before it was edited:"
        yield json.dumps(letter["original"], indent=2, ensure_ascii=False)


def story_of(story: Sequence[dict[str, Any]], attempts: int) -> Iterator[str]:
    """Each attempt that said something, and how many there were without a word."""
    for attempt in story:
        trace = f"  trace {attempt['trace']}" if attempt["trace"] else ""
        yield f"{attempt['number']}. {clock(attempt['at'])}  {attempt['process']}{trace}"
        yield f"   {attempt['code']}: {attempt['reason']}"
    if (silent := attempts - len(story)) > 0:
        yield f"and {silent} more, of which nothing is kept, or which ended {UNTOLD}" if story else f"{silent} {UNTOLD}"


def counts_of(done: dict[str, Any], word: str) -> Iterator[str]:
    """What an act was about, or would be."""
    for consumer, count in done["by_consumer"].items():
        yield f"{count:>8}  {consumer}"
    told = f"would be {word}" if done["dry_run"] else word
    act = f" (act {done['act_id']})" if done["act_id"] else ""
    yield f"{done['count']:>8}  dead letter(s) {told}{act}"
