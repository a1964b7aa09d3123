"""The topology in JetStream's own terms: the settings of every stream and consumer, explicit (ARCHITECTURE §2.6)."""

from dataclasses import dataclass
from typing import Any

from nats.js import api

from penstock_common.messaging.nats.notes import BUCKET
from penstock_common.messaging.nats.poison import ADVISORIES, WATCHER
from penstock_common.messaging.topology import DAY, DEAD_LETTERS, QUARANTINE, Consumer, Stream, Topology

DUPLICATE_WINDOW = 120.0  # seconds within which a repeated message id is stored once
ADVISORY_SUBJECT = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"
PREFIXES = {DEAD_LETTERS.name: "dlq.>", QUARANTINE.name: "quarantine.>"}
WATCHER_ACK_WAIT = 10.0  # seconds
FOR_EVER = -1


@dataclass(frozen=True, slots=True)
class Declared:
    """One stream, or one consumer of a stream, and the settings it must have."""

    stream: str
    consumer: str
    settings: dict[str, Any]

    def __str__(self) -> str:
        return f"consumer {self.consumer}" if self.consumer else f"stream {self.stream}"


def declared(topology: Topology, replicas: int) -> list[Declared]:
    """Everything in order of creation. `replicas` is the copies of each stream, 1 without a cluster."""
    streams = [
        *(_stream(stream, _subjects(stream, topology)) for stream in _in_order(topology)),
        _stream(Stream(ADVISORIES, max_age=7 * DAY, max_bytes=64 << 20), [ADVISORY_SUBJECT]),
        _notes(),
    ]
    for stream in streams:
        stream.settings["num_replicas"] = replicas
    watcher = {"ack_wait": WATCHER_ACK_WAIT, "max_deliver": FOR_EVER, "max_ack_pending": 1000}
    return [
        *streams,
        *(_consumer(lane) for lane in topology.lanes),
        Declared(ADVISORIES, WATCHER, {**watcher, "ack_policy": api.AckPolicy.EXPLICIT}),
    ]


def _in_order(topology: Topology) -> list[Stream]:
    """The stream first in which the loss of the others is told."""
    first = topology.rebuilt.stream if topology.rebuilt else ""
    return sorted(topology.streams, key=lambda stream: stream.name != first)


def _subjects(stream: Stream, topology: Topology) -> list[str]:
    if stream.name in PREFIXES:
        return [PREFIXES[stream.name]]
    topics = [topic.subject for topic in topology.topics if topic.stream == stream.name]
    return [*topics, *(row.address for row in topology.rows if row.topic.stream == stream.name)]


def _stream(stream: Stream, subjects: list[str]) -> Declared:
    settings = {
        "subjects": subjects,
        "storage": api.StorageType.FILE,
        "retention": api.RetentionPolicy.LIMITS,  # WorkQueue loses messages that have a delivery limit
        "discard": api.DiscardPolicy.NEW if stream.refuse_when_full else api.DiscardPolicy.OLD,
        "max_age": stream.max_age,
        "max_bytes": stream.max_bytes,
        "duplicate_window": min(DUPLICATE_WINDOW, stream.max_age),
        "allow_direct": True,
    }
    return Declared(stream.name, "", settings)


def _notes() -> Declared:
    """A key-value bucket is a stream with one message per key."""
    bucket = _stream(Stream(f"KV_{BUCKET}", max_age=7 * DAY, max_bytes=1 << 30), [f"$KV.{BUCKET}.>"])
    bucket.settings.update(max_msgs_per_subject=1, allow_rollup_hdrs=True, deny_delete=True)
    return bucket


def _consumer(lane: Consumer) -> Declared:
    settings = {
        "ack_policy": api.AckPolicy.EXPLICIT,
        "ack_wait": lane.ack_wait,
        "max_deliver": lane.server_limit,
        "max_ack_pending": lane.max_in_flight,
    }
    if lane.is_main:
        settings["filter_subjects"] = [lane.topic.subject, lane.address]
    else:
        settings["filter_subject"] = lane.topic.subject
    return Declared(lane.topic.stream, lane.name, settings)
