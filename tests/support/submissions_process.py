"""An api process that dies of SIGKILL while it accepts a request."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from penstock_api.adapters.idempotency import Claim
from penstock_api.adapters.submission_writer import Entry, SubmissionWriter
from penstock_common.contracts.queueing import BATCH, QueueText
from penstock_common.db.transaction import Database
from penstock_common.ids import uuid7
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.topology import PLATFORM
from tests.support.dying import COMMITTED, die_at

PLAIN = "plain"
TENANT, KEY, HOOK = UUID(int=1), UUID(int=2), UUID(int=3)


def an_entry(keyring: Path) -> Entry:
    """The same named request each time, under an id of its own; a webhook and a URL hear of its end."""
    now, request_id, sealer = datetime.now(UTC), uuid7(), Sealer(LocalKeyring(keyring))
    command = QueueText(
        request_id=request_id,
        tenant=TENANT,
        key_id=KEY,
        model="sim/fast",
        catalogue_version=1,
        sealed=sealer.seal(TENANT, str(request_id), b"{}"),
        body_mac=sealer.mac(TENANT, b"{}"),
        streamed=False,
        reply_to="api-1",
        accepted_at=now,
        deadline=now + timedelta(hours=1),
        lane=BATCH,
    )
    claim = Claim(TENANT, sealer.mac(TENANT, b"name"), sealer.mac(TENANT, b"{}"), request_id)
    who = {"request_id": request_id, "tenant": TENANT, "depth": 0}
    return Entry(command, claim, who | {"hook_id": HOOK}, who | {"sealed": b"sealed"})


def a_plain_entry(keyring: Path) -> Entry:
    """A request that has no name, and of whose end nobody hears."""
    return replace(an_entry(keyring), claim=None, hook=None, callback=None)


def a_writer(database: str) -> SubmissionWriter:
    """One without a bus, that was begun."""
    writer = SubmissionWriter(Database(database, "api", PLATFORM))
    writer.start()
    return writer


async def main(database: str, keyring: Path, point: str) -> None:
    """Accept one request until the point is reached; `PLAIN` is the commit of one that nothing else belongs to."""
    writer, is_plain = a_writer(database), point == PLAIN
    die_at(writer.database, COMMITTED if is_plain else point)
    await writer.write((a_plain_entry if is_plain else an_entry)(keyring))
