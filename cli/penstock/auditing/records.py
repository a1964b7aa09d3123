"""Who must have handled what, and where that is written down."""

from dataclasses import dataclass
from functools import cached_property

from penstock_common.ids import UUID_TEXT
from penstock_common.messaging.topology import DEAD_LETTERS, Consumer, Topology
from penstock_common.topology import BATCH_TEXT, EMBED_TEXTS, GENERATE_TEXT, OPERATOR_ACTED, PLATFORM, VECTORIZE_TEXTS

OVERDUE_SECONDS = 60
"""How long after its deadline a request may still be without an end."""
ASKERS = "no outbox speaks to it: who asked waits and asks again; the requests themselves are compared by their rows"
UNHEARD: dict[str, str] = {
    GENERATE_TEXT.subject: ASKERS,
    EMBED_TEXTS.subject: ASKERS,
    VECTORIZE_TEXTS.subject: "no outbox speaks to it: the indexer waits for the vectors, and asks again",
    OPERATOR_ACTED.subject: "no outbox speaks to it: the command line tells it before and after it acts",
}
"""Topics whose messages are in no outbox (ARCHITECTURE names them), each with who repeats what is lost."""

ENDED = "g.outcome <> 'running'"
SAID = "split_part(o.message_id, ':', 1)"
"""The `ce-id` of an outbox row: what is said again to one consumer has the act behind it."""


def day_of(id_: str) -> str:
    """SQL for the UTC day in a message id; null where it begins with no uuid7."""
    digits = f"left(replace({id_}, '-', ''), 12)"
    moment = f"to_timestamp(cast(cast('x' || {digits} as bit(48)) as bigint) / 1000.0)"
    return f"case when {id_} ~* '^[0-9a-f]{{8}}-[0-9a-f]{{4}}-7' then cast({moment} at time zone 'UTC' as date) end"


@dataclass(frozen=True)
class Record:
    """One consumer, and the SQL that tells whether an outbox row `o`, or a row `t` of what lacks, was handled by it."""

    consumer: Consumer

    @property
    def name(self) -> str:
        """The consumer's."""
        return self.consumer.inbox_name

    @property
    def subject(self) -> str:
        """What everyone who hears the topic is told by."""
        return self.consumer.topic.subject

    @property
    def subjects(self) -> list[str]:
        """All that reaches it: its topic, and what is addressed to it alone."""
        return [self.subject, self.consumer.address]

    @cached_property
    def has_inbox(self) -> bool:
        """False where a row of its own stands in for the inbox."""
        return self.subject != BATCH_TEXT.subject

    @property
    def near(self) -> str:
        """Whether row `o` was handled, as far as ids of the days $1 tell; for many rows at once, as a join."""
        if self.has_inbox:
            return f"exists ({self._inbox('i.day = any($1::date[])', SAID)})"
        return f"exists ({self._ended(SAID, ENDED)})"

    @property
    def exact(self) -> str:
        """Whether row `t` was handled, whenever its id was made; looked up row by row."""
        found = self._inbox(f"i.day = {day_of('t.said')}", "t.said") if self.has_inbox else self._ended("t.said", ENDED)
        return f"coalesce(({found} limit 1), false)"

    @property
    def at_work(self) -> str:
        """Begun, and not due to have ended."""
        if self.has_inbox:
            return "false"
        running = f"g.outcome = 'running' and g.deadline + interval '{OVERDUE_SECONDS} s' > now()"
        return f"coalesce(({self._ended('t.said', running)} limit 1), false)"

    @property
    def patience(self) -> float:
        """Seconds within which all its attempts are over, once the first was made and while its service runs."""
        lane = self.consumer
        waits = sum(lane.delay(attempt) for attempt in range(1, lane.max_attempts + 1))
        return 2 * waits + lane.ack_wait * lane.server_limit

    def _inbox(self, day: str, id_: str) -> str:
        return (
            f"select true from {self.consumer.service}.inbox i "
            f"where {day} and i.consumer = '{self.name}' and i.message_id = {id_}"
        )

    @staticmethod
    def _ended(id_: str, condition: str) -> str:
        request = f"cast(left({id_}, {UUID_TEXT}) as uuid)"
        return f"select true from inference.generations g where g.request_id = {request} and {condition}"


def records(topology: Topology = PLATFORM) -> list[Record]:
    """One for each declared consumer that outboxes speak to."""
    return [Record(c) for c in topology.consumers if unaudited(c) == ""]


def unaudited(consumer: Consumer) -> str:
    """Why a declared consumer can't be compared with an outbox; empty where it is."""
    if consumer.topic.stream == DEAD_LETTERS.name:
        return "it collects dead letters: what it was given lies in the dead letters, on the bus or in their table"
    return UNHEARD.get(consumer.topic.subject, "")
