"""The platform's own table keeps the rules that delivery relies on."""

from dataclasses import replace

import pytest

from penstock_common.contracts.generation import CancelGeneration
from penstock_common.messaging.topology import DEAD_LETTERS, Consumer, Kind, Runner, Stream, Topic, Topology
from penstock_common.topology import PLATFORM

CONSUMERS = pytest.mark.parametrize("consumer", PLATFORM.consumers, ids=lambda c: c.name)
TOPICS = pytest.mark.parametrize("topic", PLATFORM.topics, ids=lambda t: t.subject)
STREAMS = {stream.name: stream for stream in PLATFORM.streams}


@TOPICS
def test_subjects_follow_their_kind(topic: Topic) -> None:
    """`cmd.` and `qry.` name who answers; an event begins with its owner; all end in a version."""
    first, second, *_, version = topic.subject.split(".")
    assert version[0] == "v"
    assert version[1:].isdigit()
    if topic.kind is Kind.QUERY:
        assert (first, second) == ("qry", topic.owner)
    elif topic.kind is Kind.COMMAND:
        assert first == "cmd"
    elif topic.kind is Kind.EVENT:
        assert first == topic.owner


@TOPICS
def test_only_facts_and_commands_are_stored(topic: Topic) -> None:
    """Queries and broadcasts leave nothing behind; a query has an answer, and nothing else has."""
    assert bool(topic.stream) == (topic.kind in (Kind.EVENT, Kind.COMMAND))
    assert (topic.reply is not None) == (topic.kind is Kind.QUERY)


@TOPICS
def test_accepted_work_is_refused_rather_than_dropped(topic: Topic) -> None:
    """A full stream of commands is a 503."""
    if topic.kind is Kind.COMMAND:
        assert STREAMS[topic.stream].refuse_when_full


@CONSUMERS
def test_patience_is_shorter_than_the_stream(consumer: Consumer) -> None:
    """A message is buried before its stream forgets it."""
    waited = sum(consumer.delay(attempt) for attempt in range(1, consumer.max_attempts))
    assert waited < STREAMS[consumer.topic.stream].max_age


@CONSUMERS
def test_the_server_gives_up_last(consumer: Consumer) -> None:
    """Our own count buries first; moving a suspect aside costs deliveries."""
    assert consumer.server_limit > consumer.max_attempts


@CONSUMERS
def test_quarantine_shares_inbox_and_dead_letters(consumer: Consumer) -> None:
    """A message handled on either lane counts as handled on both."""
    lane = consumer.quarantine
    assert lane
    assert (lane.inbox_name, lane.dead_letters) == (consumer.inbox_name, consumer.dead_letters)
    assert lane.name != consumer.name
    assert (lane.quarantine, lane.dead_lane, lane.is_main) == (None, None, False)


def test_dead_lane_is_on_the_dead_letters_and_in_order() -> None:
    """The owner of a buried command hears of it there; it can't be buried once more."""
    lane = PLATFORM.consumer("inference", "generate_text").dead_lane
    assert lane
    assert lane.is_dead_lane
    assert lane.topic.stream == DEAD_LETTERS.name
    assert lane.runner is Runner.PLAIN
    assert lane.max_in_flight == 1


def test_every_lane_is_listed_once() -> None:
    """Rows, quarantines, dead lanes for those that asked, one a service for upkeep, one of all dead letters."""
    names = [lane.name for lane in PLATFORM.lanes]
    told = sum(consumer.has_on_dead for consumer in PLATFORM.consumers)
    assert len(names) == len(set(names)) == 2 * len(PLATFORM.consumers) + told + len(PLATFORM.upkeep) + 1


def test_the_collector_gathers_the_dead_letters_of_every_row() -> None:
    """Those of upkeep too; it never gives one up within the time that the bus keeps them, and is nobody's own lane."""
    lane = PLATFORM.collector
    assert lane
    assert set(lane.gathered) == {row.dead_letters for row in PLATFORM.rows}
    assert (lane.topic.stream, lane.is_dead_lane, lane.is_main) == (DEAD_LETTERS.name, True, False)
    assert lane.quarantine is lane.dead_lane is None
    assert lane.max_attempts * lane.backoff[-1] / 2 > 28 * 86_400
    assert replace(PLATFORM, collected_by="").collector is None


def test_unknown_handler_and_contract_are_named() -> None:
    """A typing error is found at start."""
    with pytest.raises(KeyError, match="no consumer mistyped of billing"):
        PLATFORM.consumer("billing", "mistyped")
    with pytest.raises(KeyError):
        PLATFORM.topic(type("Unknown", (), {}))


def test_topic_needs_its_stream_and_a_contract_its_one_topic() -> None:
    """Declarations that contradict one another are refused when the table is read."""
    first = Topic("cmd.a.b.c.v1", CancelGeneration, "api", Kind.COMMAND, "S")
    with pytest.raises(ValueError, match=r"cmd\.a\.b\.c\.v1: no stream S"):
        Topology((), (first,), ())
    with pytest.raises(ValueError, match="CancelGeneration is on two topics"):
        Topology((Stream("S", 1.0, 1),), (first, first), ())
