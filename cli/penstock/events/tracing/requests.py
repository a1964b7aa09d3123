"""A request in the tree: each decision about it, its attempts, its end and its charge."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from penstock.events.tracing.facts import Facts, Row
from penstock.events.tracing.node import Mark, Node
from penstock.money import readable
from penstock_common.contracts.base import Decision

RANKS = {
    "authenticate": 0,
    "entitle": 1,
    "resolve_model": 2,
    "accept": 3,
    "submit": 3,
    "ask": 3,
    "queue": 4,
    "admit": 5,
    "claim": 6,
    "route": 7,
    "take_over": 8,
    "generate": 9,
}
"""The order in which a request comes to these decisions."""
ACCEPTING = 3
ADMITTING = RANKS["admit"]
WORDS = {
    "authenticate": "authenticated",
    "entitle": "entitled",
    "resolve_model": "model resolved",
    "accept": "accepted",
    "submit": "accepted",
    "ask": "asked",
    "queue": "queued",
    "admit": "limited",
    "claim": "taken over",
    "route": "routed",
    "take_over": "continued",
    "generate": "ended",
}
INTERACTIVE = "interactive"
"""The lane whose requests wait for slots; one that need not wait has no decision about it."""
GOOD = ("succeeded",)
STOPPED = ("cancelled", "partial")
FIRST_ATTEMPT = "attempt 1 is under way, or waits for a slot: a first attempt is recorded when it ends"


def request_node(facts: Facts, request_id: UUID) -> Node:
    """A request without the events about it."""
    row = facts.generations.get(request_id) or facts.requests.get(request_id) or {}
    node = Node(
        "request",
        f"request {request_id}",
        row.get("accepted_at"),
        next((d.outcome for d in facts.decisions(request_id) if d.step == "ask"), "api"),
        ", ".join(filter(None, [row.get("model"), row.get("lane"), "streamed" if row.get("streamed") else ""])),
        row.get("ended_at"),
        id=str(request_id),
        known={"tenant": str(row["tenant"]), "key_id": str(row["key_id"])} if row else {},
    )
    node.children = [*_decided(facts, request_id), *_state(facts, request_id), *_besides(facts, request_id)]
    return node


def charge_nodes(facts: Facts, request_id: UUID) -> Iterator[Node]:
    """What the ledger holds of it, in both books."""
    for row in facts.charges.get(request_id, []):
        amount = readable(row["amount_nano"], row["currency"])
        whose = "charged" if row["book"] == "customer" else "cost of the provider"
        tokens = f"{row['prompt_tokens']} + {row['completion_tokens']} tokens ({row['measure']})"
        detail = f"{tokens}, attempt {row['attempt']}, price version {row['price_version']}"
        if row["corrects"]:
            detail += f", corrects entry {row['corrects']}"
        known = {"amount_nano": row["amount_nano"], "currency": row["currency"], "book": row["book"]}
        yield Node("charge", f"{whose} {amount}", row["posted_at"], "billing", detail, id=str(row["id"]), known=known)


def _decided(facts: Facts, request_id: UUID) -> Iterator[Node]:
    decisions = sorted(facts.decisions(request_id), key=lambda d: RANKS.get(d.step, ADMITTING))
    steps = {decision.step for decision in decisions}
    row = facts.generations.get(request_id)
    for decision in decisions:
        if decision.step == "route" and "admit" not in steps and row and row["lane"] == INTERACTIVE:
            yield Node("decision", "limited", row["started_at"], "inference", f"{INTERACTIVE}: a slot was free")
        if decision.step != "generate":
            yield _decision(decision, row or facts.requests[request_id], _left_queue(facts, request_id))


def _left_queue(facts: Facts, request_id: UUID) -> datetime | None:
    """When the queue gave it its turn."""
    turn = f"{request_id}.batch"
    return next((event.at for event in facts.events.values() if event.message_id == turn), None)


def _decision(decision: Decision, row: Row, left_queue: datetime | None) -> Node:
    rank = RANKS.get(decision.step, ADMITTING)
    service = "inference" if rank > ACCEPTING else decision.outcome if decision.step == "ask" else "api"
    detail = f"{decision.outcome}: {decision.reason}" if decision.reason else decision.outcome
    if decision.catalogue_version is not None:
        detail += f", catalogue version {decision.catalogue_version}"
    known = {"step": decision.step, "outcome": decision.outcome, "reason": decision.reason}
    if decision.catalogue_version is not None:
        known["catalogue_version"] = str(decision.catalogue_version)
    title = WORDS.get(decision.step, decision.step)
    at = left_queue if decision.step == "queue" else _moment(decision, row, rank)
    return Node("decision", title, at, service, detail, known=known)


def _moment(decision: Decision, row: Row, rank: int) -> datetime | None:
    """When it was decided, as far as a row tells."""
    if rank <= ACCEPTING:
        at: datetime | None = row["accepted_at"]
    elif decision.step == "claim":  # of several, the row knows when the last was
        at = row.get("claimed_at") if decision.outcome == f"attempt {row['attempt']}" else None
    else:
        at = row.get("started_at")
    return at


def _state(facts: Facts, request_id: UUID) -> Iterator[Node]:
    """Its end, or how far it is."""
    row, accepted = facts.generations.get(request_id), facts.requests.get(request_id)
    if row is None:
        if accepted and accepted["status"] == "accepted":
            late = accepted["deadline"] and accepted["deadline"] < facts.now
            detail = "inference never ended it" if late else FIRST_ATTEMPT
            yield Node("end", "not ended", service="inference", detail=detail, mark=Mark.BAD if late else Mark.OPEN)
        elif accepted:
            yield Node("end", accepted["status"], accepted["ended_at"], "api", "as api saw it", mark=Mark.BAD)
        return
    if row["outcome"] == "running":
        late = row["deadline"] < facts.now
        detail = f"attempt {row['attempt']} at {row['owner']}, " + (
            "past its deadline" if late else "within its deadline"
        )
        yield Node("end", "running", None, "inference", detail, mark=Mark.BAD if late else Mark.OPEN)
        return
    yield _end(row)


def _end(row: Row) -> Node:
    told = [
        f"attempt {row['attempt']}",
        f"{row['prompt_tokens']} + {row['completion_tokens']} tokens ({row['measure']})",
    ]
    if row["first_token_at"] and row["started_at"]:
        told.append(f"first token after {(row['first_token_at'] - row['started_at']).total_seconds() * 1000:.0f} ms")
    if row["error_code"]:
        told.append(row["error_code"])
    return Node(
        "end",
        row["outcome"],
        row["started_at"] or row["ended_at"],
        "inference",
        ", ".join(told),
        row["ended_at"],
        mark=Mark.DONE if row["outcome"] in (*GOOD, *STOPPED) else Mark.BAD,
        known={"outcome": row["outcome"], "attempt": row["attempt"], "ended_at": row["ended_at"]},
    )


def _besides(facts: Facts, request_id: UUID) -> Iterator[Node]:
    """The queue, a stop, a webhook."""
    if queued := facts.queued.get(request_id):
        waits = queued["dispatched_at"] is None
        detail = f"priority {queued['priority']}" + (f", {queued['verdict']}" if queued["verdict"] else "")
        mark = Mark.OPEN if waits else Mark.DONE
        title = "waits in the queue" if waits else "left the queue"
        yield Node("queue", title, queued["dispatched_at"], "inference", detail, mark=mark)
    if stop := facts.stops.get(request_id):
        yield Node("stop", "stop asked for", stop["requested_at"], "inference", stop["reason"])
    if hook := facts.callbacks.get(request_id):
        is_open = hook["state"] in ("waiting", "due")
        detail = f"{hook['attempts']} attempts" + (f", next at {hook['next_at']:%H:%M:%S}Z" if hook["next_at"] else "")
        yield Node(
            "webhook",
            f"webhook {hook['state']}",
            hook["settled_at"],
            "api",
            detail,
            mark=Mark.OPEN if is_open else Mark.DONE if hook["state"] == "delivered" else Mark.BAD,
        )
