"""The tree of what happened: things by who asked for them, events by what caused them."""

from collections.abc import Iterator
from uuid import UUID

from penstock.events.found import UNKEPT, consumers_of
from penstock.events.tracing.facts import Facts, uuid_or_none
from penstock.events.tracing.gathering import about
from penstock.events.tracing.node import Mark, Node
from penstock.events.tracing.requests import charge_nodes, request_node
from penstock_common.events.event import StoredEvent
from penstock_common.messaging.envelope import MESSAGE_ID
from penstock_common.messaging.topology import ONLY
from penstock_common.topology import PLATFORM

START, ADD, FIRED = "cmd.worker.run.start.v1", "cmd.indexer.document.add.v1", "scheduler.tick.fired.v1"
USAGE, COMPLETED = "billing.usage.recorded.v1", "inference.generation.completed.v1"
ORDERS = (START, ADD)
ENDED_RUN = ("succeeded", "failed", "cancelled")
OPEN_LETTERS = ("waiting", "acknowledged", "due")
Key = tuple[str, UUID]


class Tree:
    """Puts each thing and each event below what caused it."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.nodes: dict[Key, Node] = dict(self._nodes())
        self.said: dict[str, StoredEvent] = {}
        """By message id, its first sending."""
        for event in sorted(facts.events.values(), key=lambda event: event.id):
            self.said.setdefault(event.headers[MESSAGE_ID], event)
        self._attach_charges()

    def roots(self) -> list[Node]:
        """What nothing of the chain caused, the earliest first."""
        top = Node("", "")
        for key, node in self.nodes.items():
            if parent := self._parent(key):
                self.nodes[parent].children.append(node)
                continue
            top.children.append(node)
            if key[0] == "event" and (asked := uuid_or_none(self.facts.events[key[1]].correlation)):
                node.detail += f", because of {asked}" if str(asked) not in node.id else ""
        top.sort()
        return top.children

    def _nodes(self) -> Iterator[tuple[Key, Node]]:
        facts = self.facts
        for id_ in {**facts.requests, **facts.generations, **facts.queued}:
            yield ("request", id_), request_node(facts, id_)
        for id_ in facts.runs:
            yield ("run", id_), run_node(facts, id_)
        for id_ in facts.documents:
            yield ("document", id_), document_node(facts, id_)
        for id_, tick in facts.ticks.items():
            detail = f"due at {tick['due_at']:%Y-%m-%d %H:%M:%S}Z"
            title = f"tick of schedule {tick['schedule_id']}"
            yield ("tick", id_), Node("tick", title, tick["fired_at"], "scheduler", detail, id=str(tick["schedule_id"]))
        for event in facts.events.values():
            yield ("event", event.id), event_node(facts, event)

    def _attach_charges(self) -> None:
        """Below the event that they are posted for; where that is not known, below the request."""
        for id_ in self.facts.charges:
            ended = self.said.get(f"{id_}.completed")
            node = self.nodes.get(("event", ended.id)) if ended else self.nodes.get(("request", id_))
            if node:
                node.children += charge_nodes(self.facts, id_)

    def _parent(self, key: Key) -> Key | None:
        """What caused it; None where that is unknown, or outside of the chain."""
        found = self._candidates(key)
        return next((k for k in found if k and k in self.nodes and not self._is_above(key, k)), None)

    def _candidates(self, key: Key) -> list[Key | None]:
        kind, id_ = key
        if kind == "request":
            return [
                thing
                for cause in [self.facts.asked_by(id_)]
                if cause
                for thing in (("run", cause), ("document", cause))
            ]
        if kind == "run":
            return [self._event(f"{id_}.start"), ("tick", id_)]
        if kind == "document":
            orders = (e for e in self.facts.events.values() if e.topic == ADD and about(e) == id_)
            return [("event", event.id) for event in orders]
        return self._causes(self.facts.events[id_]) if kind == "event" else []

    def _causes(self, event: StoredEvent) -> list[Key | None]:
        cause, thing = self._event(event.causation), about(event)
        first = self.said[event.headers[MESSAGE_ID]]
        if first.id != event.id:
            return [("event", first.id)]
        correlated = uuid_or_none(event.correlation)
        below = [(kind, correlated) for kind in ("request", "run", "document")] if correlated else []
        if event.topic in ORDERS or event.topic == FIRED:
            below = [each for each in below if each[1] != thing]
            return [*([("tick", thing)] if thing else []), cause, *below]
        own = [(kind, thing) for kind in ("request", "run", "document")] if thing else []
        return [cause, *own, *below] if event.topic == USAGE else [*own, cause, *below]

    def _event(self, message_id: str) -> Key | None:
        event = self.said.get(message_id)
        return ("event", event.id) if event else None

    def _is_above(self, key: Key, other: Key) -> bool:
        """Whether `key` is `other` or above it: records that contradict themselves must not make a ring."""
        seen: set[Key] = set()
        above: Key | None = other
        while above and above not in seen:
            if above == key:
                return True
            seen.add(above)
            above = next((k for k in self._candidates(above) if k and k in self.nodes), None)
        return False


def run_node(facts: Facts, run_id: UUID) -> Node:
    """A run with its journal's lines, without what they say."""
    row = facts.runs[run_id]
    state = row["state"]
    told = [f"by {row['trigger']}", f"{row['step']} of {row['steps']} steps" if row["steps"] else "", row["error_code"]]
    if row["deaths"]:
        told.append(f"{row['deaths']} processes died at it")
    if state not in ENDED_RUN and row["owner"]:
        told.append(f"at {row['owner']}")
    mark = Mark.BAD if state == "failed" else Mark.DONE if state in ENDED_RUN else Mark.OPEN
    node = Node("run", f"run {run_id} {state}", row["created_at"], "worker", ", ".join(filter(None, told)))
    node.until, node.mark, node.id, node.known = row["ended_at"], mark, str(run_id), {"run_state": state}
    lines = facts.entries.get(run_id, [])
    node.children = [Node("journal", e["kind"], e["at"], "worker", f"line {e['version']}") for e in lines]
    return node


def document_node(facts: Facts, document_id: UUID) -> Node:
    """A document's way into its index."""
    row = facts.documents[document_id]
    state = row["state"]
    told = [f"{row['chunks']} chunks", f"{row['attempts']} attempts" if row["attempts"] > 1 else "", row["error_code"]]
    node = Node(
        "document", f"document {document_id} {state}", row["created_at"], "indexer", ", ".join(filter(None, told))
    )
    node.id, node.until = str(document_id), row["changed_at"] if state in ("indexed", "failed") else None
    node.mark = {"indexed": Mark.DONE, "failed": Mark.BAD}.get(state, Mark.OPEN)
    return node


def event_node(facts: Facts, event: StoredEvent) -> Node:
    """An event, and what became of it at each consumer."""
    told = f"published after {milliseconds(event):.0f} ms" if event.published_at else "not published yet"
    if event.subject.startswith(ONLY):
        told = f"once more, to {event.subject.removeprefix(ONLY)} alone; {told}"
    node = Node("event", event.topic, event.at, event.service, told, id=event.message_id)
    node.mark = Mark.DONE if event.published_at else Mark.OPEN
    node.known = {"row": str(event.id), "published_at": event.published_at}
    node.children = list(_handled(facts, event))
    return node


def milliseconds(event: StoredEvent) -> float:
    """From the row's id to the mark that it is on the bus."""
    return (event.published_at - event.at).total_seconds() * 1000 if event.published_at else 0.0


def _handled(facts: Facts, event: StoredEvent) -> Iterator[Node]:
    message_id, upkeep = event.headers[MESSAGE_ID], {row.name for row in PLATFORM.upkeep.values()}
    for lane in consumers_of(event):
        at, letter = facts.handled.get((lane.inbox_name, message_id)), facts.letters.get((lane.name, message_id))
        if at:
            yield Node("handled", f"handled by {lane.name}", at, lane.service)
        elif letter and letter["state"] in OPEN_LETTERS:
            detail = f"{letter['code']}, {letter['attempts']} attempts; see: penstock dlq show {letter['id']}"
            title = f"dead at {lane.name}"
            yield Node(
                "dead", title, letter["last_failed_at"], lane.service, detail, mark=Mark.BAD, id=str(letter["id"])
            )
        elif letter:
            yield Node(
                "dead", f"{letter['state']} at {lane.name}", letter["last_failed_at"], lane.service, letter["code"]
            )
        elif lane.name not in UNKEPT | upkeep:
            detail = "it waits, or is being handled"
            yield Node("handled", f"not handled yet by {lane.name}", None, lane.service, detail, mark=Mark.OPEN)
