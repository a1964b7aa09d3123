"""A channel that can't be set up: how long to wait before the next attempt, and what to say."""

from dataclasses import dataclass

import structlog
from aiormq.exceptions import ConnectionInternalError

from penstock_common.messaging.deadletter import describe
from penstock_common.messaging.rabbit.link import PAUSE

log = structlog.get_logger()

LONGEST_PAUSE = 1.0  # seconds; the server logs each refusal
FELLED_PAUSE = 10.0  # seconds; the longest where each attempt costs a connection, and the server a crash report
DAMAGED = "RabbitMQ fails when this queue is opened: delete the queue, and it is made anew and filled from the outboxes"


def is_felling(error: BaseException) -> bool:
    """Whether the server answered a setup by closing the connection with all of its channels, for reasons of its own.

    It does so for a queue whose log it can't open, as after a full disk, and knows of no more than the connection.
    """
    return isinstance(error.__cause__ or error, ConnectionInternalError)


@dataclass
class Trouble:
    """What came of the attempts since the channel was lost."""

    name: str
    suspicious: bool = False
    """Whether an attempt felled a connection: the next ones are made where no other channel suffers."""
    _told: bool = False
    _damaged: bool = False
    _pause: float = PAUSE

    def pause(self, error: BaseException, *, connected: bool) -> float:
        """Seconds to wait after an attempt that ended so; says once why it did, and once that the queue is damaged."""
        felling = is_felling(error)
        if felling and self.suspicious and not self._damaged:
            self._damaged = True
            log.error("bus.queue_damaged", channel=self.name, reason=describe(error), hint=DAMAGED)
        elif connected and not self._told:
            self._told = True
            log.warning("bus.channel_refused", channel=self.name, reason=describe(error))
        if not (felling or connected):
            return PAUSE
        self.suspicious = self.suspicious or felling
        self._pause = min(2 * self._pause, FELLED_PAUSE if self._damaged else LONGEST_PAUSE)
        return self._pause
