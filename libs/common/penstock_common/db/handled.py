"""Answers whether a consumer of this service has handled a message: what its inbox says."""

import contextlib

from sqlalchemy import text

from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.operating import FindHandled, HandledFound
from penstock_common.db.transaction import Database
from penstock_common.errors import PenstockError
from penstock_common.ids import day_of
from penstock_common.messaging.ports import Bus, Subscription
from penstock_common.messaging.topology import Topic

FIND = """
select handled_at, fingerprint from {schema}.inbox where day = :day and consumer = :consumer and message_id = :id
"""


class HandledAnswers:
    """One per process; every process of every service hears the question, those of the service in it answer."""

    def __init__(self, database: Database, bus: Bus, service: str) -> None:
        self._database, self._bus, self._service = database, bus, service
        self._find = text(FIND.format(schema=database.schema))
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Answer from now on. Raises BusUnavailable."""
        self._subscription = await self._bus.answer(self._topic, self._answer, everyone=True)

    async def stop(self) -> None:
        """Answer no more."""
        if self._subscription:
            with contextlib.suppress(PenstockError):  # the bus may be away
                await self._subscription.stop()

    @property
    def _topic(self) -> Topic:
        return self._database.topology.topic(FindHandled)

    async def _answer(self, body: bytes) -> bytes | None:
        question = decode(FindHandled, body)
        if question.service != self._service:
            return None
        return encode(await self.find(question))

    async def find(self, question: FindHandled) -> HandledFound:
        """What the inbox has; nothing of an id that it could not have. Raises DatabaseUnavailable."""
        try:
            given = {"day": day_of(question.message_id), "consumer": question.consumer, "id": question.message_id}
        except ValueError:
            return HandledFound()
        async with self._database.reading() as connection:
            row = (await connection.execute(self._find, given)).one_or_none()
        return HandledFound(handled_at=row.handled_at, content=row.fingerprint) if row else HandledFound()
