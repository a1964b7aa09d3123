"""What a trace comes to: in sentences, and whether all of it is over and well."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from penstock.events.tracing.facts import Facts, Row
from penstock.events.tracing.node import Mark, Node
from penstock.money import readable


@dataclass(frozen=True, slots=True)
class Verdict:
    """The worst mark in the tree, and what to know about it."""

    mark: Mark
    sentences: list[str]

    @property
    def is_over(self) -> bool:
        """Whether all ended well and was handled."""
        return self.mark is Mark.DONE


def verdict_of(facts: Facts, roots: list[Node]) -> Verdict:
    """What is to be said first of all."""
    nodes = [node for root in roots for node in every(root)]
    marks = {node.mark for node in nodes}
    mark = next((m for m in (Mark.BAD, Mark.OPEN) if m in marks), Mark.DONE)
    sentences = [*_requests(facts), *_runs(facts), *_open(nodes)]
    if facts.is_cut:
        sentences.append("There is more than is shown: the chain was cut where it got too long.")
    return Verdict(mark, sentences)


def every(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    yield node
    for child in node.children:
        yield from every(child)


def _requests(facts: Facts) -> Iterator[str]:
    for request_id in sorted({*facts.requests, *facts.generations}):
        row = facts.generations.get(request_id)
        if row is None:
            yield f"Request {request_id}: {_unended(facts, facts.requests[request_id])}"
            continue
        yield f"Request {request_id}: {_ended(facts, row)}"
        if row["attempt"] > 1:
            lost = row["attempt"] - 1
            yield (
                f"Request {request_id} took {row['attempt']} attempts: {lost} ended without a word, "
                f"and the customer is charged for attempt {row['attempt']} alone."
            )


def _unended(facts: Facts, row: Row) -> str:
    if row["status"] != "accepted":
        return f"{row['status']}, as api saw it; inference has no row of it."
    overdue = facts.now - row["deadline"] if row["deadline"] else timedelta(0)
    if overdue > timedelta(0):
        return f"lost: accepted at {row['accepted_at']:%H:%M:%S}Z, {_span(overdue)} past its deadline, and never ended."
    return f"unfinished, {_span(facts.now - row['accepted_at'])} after it was accepted."


def _ended(facts: Facts, row: Row) -> str:
    if row["outcome"] == "running":
        overdue = facts.now - row["deadline"]
        late = f", {_span(overdue)} past its deadline" if overdue > timedelta(0) else ""
        return f"unfinished, attempt {row['attempt']} runs at {row['owner']}{late}."
    took = f" after {_span(row['ended_at'] - row['accepted_at'])}" if row["ended_at"] else ""
    why = f" ({row['error_code']})" if row["error_code"] else ""
    charged = [each for each in facts.charges.get(row["request_id"], []) if each["book"] == "customer"]
    cost = sum(each["amount_nano"] for each in charged)
    money = f"charged {readable(cost, charged[0]['currency'])}" if charged else "not charged yet"
    return f"{row['outcome']}{why}{took}, {money}."


def _runs(facts: Facts) -> Iterator[str]:
    for run_id, row in sorted(facts.runs.items()):
        why = f" ({row['error_code']})" if row["error_code"] else ""
        took = f" after {_span(row['ended_at'] - row['created_at'])}" if row["ended_at"] else ", unfinished"
        yield f"Run {run_id}: {row['state']}{why}{took}."


def _open(nodes: list[Node]) -> Iterator[str]:
    for node in nodes:
        if node.kind == "event" and node.mark is not Mark.DONE:
            yield f"{node.title} {node.id} is not published yet; while {node.service} runs, its relay does that."
        if node.kind in ("handled", "dead", "queue", "webhook", "document") and node.mark is not Mark.DONE:
            yield f"{node.service}: {node.title}{': ' + node.detail if node.detail else ''}."


def _span(span: timedelta) -> str:
    seconds = span.total_seconds()
    return (
        f"{seconds * 1000:.0f} ms"
        if seconds < 10
        else f"{seconds:.0f} s"
        if seconds < 600
        else f"{span}".partition(".")[0]
    )
