"""Today's handlers of every service, on real servers, given what was said by any release."""

import importlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from structlog.testing import capture_logs

from penstock.auditing.records import records
from penstock_common.contracts.base import Contract, decode
from penstock_common.contracts.catalogue import Price
from penstock_common.contracts.documents import SaveBase
from penstock_common.ids import uuid7
from penstock_common.messaging.binding import matched
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.delivery import Delivery
from penstock_common.messaging.envelope import CONTENT_TYPE, FINGERPRINT, opened
from penstock_common.messaging.ports import Incoming
from penstock_common.messaging.router import Registration
from penstock_common.messaging.topology import Consumer
from penstock_common.service import App, begin, patiently
from penstock_common.topology import ADD_DOCUMENT, PLATFORM
from tests.contract.golden import SAID, Sample, broken, samples_of
from tests.support.billing import PRICE, a_catalogue
from tests.support.databases import Databases
from tests.support.deliveries import MemorySettler, delivered

FILLED = """
select relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p') and not c.relispartition
"""
HANDLED = "handled"
AT_WORK = ("inference",)
"""Whose handlers need what a started process has; the others only keep what they are told, for later."""
FOLDERS = ("keyring", "secrets", "sim", "objects", "index")


@dataclass(frozen=True, slots=True)
class Passage:
    """A golden sample on its way through one handler."""

    sample: Sample
    registration: Registration
    lane: Consumer

    @property
    def name(self) -> str:
        """Sample and consumer."""
        return f"{self.sample.path.name} → {self.lane.name}"


@dataclass
class Gate:
    """All services, none of which receives anything by itself."""

    connection: asyncpg.Connection
    apps: dict[str, App]
    _emptied: dict[str, list[str]] = field(default_factory=dict)

    async def open(self) -> None:
        """Note which tables are empty before anything is said."""
        for service in self.apps:
            tables = [row["relname"] for row in await self.connection.fetch(FILLED, service)]
            empty = [f"{service}.{table}" for table in tables if not await self._has_rows(service, table)]
            self._emptied[service] = empty

    async def verdict(self, passage: Passage, contract: type[Contract] | None = None) -> str:
        """`handled`, or how the handler refused or failed; decoded by another contract than its own if one is given."""
        registration, lane, settler = passage.registration, passage.lane, MemorySettler()
        message = incoming(passage.sample)
        await self._empty(lane.service)
        for earlier in before(passage):
            await self._say(lane.service, earlier)
        await Delivery(settler).run(self._call(registration, contract or registration.contract), message, lane)
        for outcome, reasons in (("refused", settler.buried), ("failed", settler.retried)):
            if reason := reasons.get(message.message_id):
                return f"{outcome}: {reason}"
        return HANDLED if await self._is_recorded(lane, message.message_id) else "acknowledged, and not recorded"

    async def problems(self, passage: Passage, contract: type[Contract] | None = None) -> list[str]:
        """What keeps a sample from meaning what it meant: its fields, and what became of it; each line names both."""
        sample = passage.sample
        if contract:
            sample = replace(sample, said=replace(sample.said, contract=contract))
        verdict = await self.verdict(passage, contract)
        lines = broken(sample) + ([] if verdict == HANDLED else [verdict])
        return [f"{passage.name}: {line}" for line in lines]

    async def _say(self, service: str, message: Contract) -> None:
        lane, settler = lane_of(service, type(message)), MemorySettler()
        registration = registration_of(lane)
        said = delivered(message)
        await Delivery(settler).run(self._call(registration, registration.contract), said, lane)
        assert settler.acked == [said.message_id], (settler.buried, settler.retried)

    def _call(self, registration: Registration, contract: type[Contract]) -> Callable[[Incoming], Awaitable[None]]:
        service = registration.handler.__module__.partition(".")[0].removeprefix("penstock_")
        deps: Any = self.apps[service].runtime.deps  # type: ignore[attr-defined]

        async def call(message: Incoming) -> None:
            given: Any
            if registration.dead:
                given = DeadLetter.parse(message.headers, message.body)
            else:
                one = opened(message, contract)
                given = [one] if registration.size else one
            await registration.handler(given, deps)

        return call

    async def _is_recorded(self, lane: Consumer, message_id: str) -> bool:
        """Whether what the audit looks at knows it; True for those that it does not audit."""
        found = [record for record in records() if record.name == lane.name]
        if not found:
            return True
        is_done: bool = await self.connection.fetchval(
            f"select {found[0].exact} from (select cast($1 as text) as said) t", message_id
        )
        return is_done

    async def _has_rows(self, service: str, table: str) -> bool:
        return bool(await self.connection.fetchval(f"select exists (select from {service}.{table})"))

    async def _empty(self, service: str) -> None:
        await self.connection.execute(f"truncate {', '.join(self._emptied[service])} cascade")


def passages(services: Sequence[str]) -> list[Passage]:
    """Each golden sample with each handler that is given such messages today."""
    return [
        Passage(sample, registration, lane)
        for service in services
        for registration, lane in pairs_of(service)
        for sample in samples_for(registration.contract)
    ]


def pairs_of(service: str) -> list[tuple[Registration, Consumer]]:
    """A service's handlers with their lanes."""
    return matched(PLATFORM, importlib.import_module(f"penstock_{service}.subscribers").router)


def lane_of(service: str, contract: type[Contract]) -> Consumer:
    """The lane on which a service is told such messages."""
    (lane,) = (lane for r, lane in pairs_of(service) if r.contract is contract and not r.dead)
    return lane


def registration_of(lane: Consumer) -> Registration:
    """The handler of a lane."""
    (registration,) = (r for r, own in pairs_of(lane.service) if own is lane)
    return registration


def before(passage: Passage) -> list[Contract]:
    """What has to be said before a sample, for its handler to have something to do."""
    name, sent = passage.sample.said.name, passage.sample.sent
    if passage.lane.service == "billing" and "price_version" in sent:
        return [a_catalogue(priced(sent["price_version"]))]
    if name == ADD_DOCUMENT.subject:
        return [decode(SaveBase, sample.body) for sample in samples_for(SaveBase)]
    return []


def priced(version: int) -> Price:
    """A price of that version."""
    return msgspec.structs.replace(PRICE, version=version)


def samples_for(contract: type[Contract]) -> list[Sample]:
    """Everything that was ever said under the names by which a contract travels."""
    return [sample for said in SAID if said.contract is contract for sample in samples_of(said)]


def incoming(sample: Sample) -> Incoming:
    """A sample as the bus brings it today; about a request, its id begins with the request's."""
    begins = sample.sent.get("request_id") or uuid7()
    message_id = f"{begins}.golden"
    headers = {"ce-id": message_id, CONTENT_TYPE: sample.said.wire.value, FINGERPRINT: sample.fingerprint}
    return Incoming(sample.said.name, message_id, headers, sample.body, raw=None)


def settings_of(service: str, databases: Databases, bus_url: str, folder: Path) -> Any:
    """What a service needs to be told."""
    settings = importlib.import_module(f"penstock_{service}.settings").Settings
    given: dict[str, Any] = {
        "bus": {"url": bus_url},
        "database": {"url": databases.services[service]},
        "http": {"port": 0},
        "stop_grace": 0.2,
        **{name: {"path": folder / name} for name in FOLDERS if name in settings.model_fields},
    }
    return settings.model_validate(json.loads(json.dumps(given, default=str)))


@asynccontextmanager
async def gate(
    services: Sequence[str], databases: Databases, bus_url: str, folder: Path, *, receive: bool = False
) -> AsyncIterator[Gate]:
    """The services' handlers; with `receive` the services work, and are given what the bus has. Ends with the block."""
    async with AsyncExitStack() as stack:
        stack.enter_context(capture_logs())  # what is refused here is refused on purpose; a traceback takes seconds
        apps: dict[str, App] = {}
        for service in services:
            build = importlib.import_module(f"penstock_{service}.app").build
            app = apps[service] = build(settings_of(service, databases, bus_url, folder))
            if receive or service in AT_WORK:
                stack.push_async_callback(app.stop, 0.2)
                await begin(app)
            else:
                stack.push_async_callback(app.foundation.stop)
                await patiently(app.connect)
        connection = await asyncpg.connect(databases.admin)
        await connection.execute("set session_replication_role = replica")  # without the guard of the audit log
        stack.push_async_callback(connection.close)
        made = Gate(connection, apps)
        await made.open()
        yield made
