"""An api process that dies of SIGKILL while it accepts a request.

Run as `python -m tests.support.submissions_process DATABASE KEYRING POINT`.
"""

import asyncio
import sys
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
from tests.support.dying import die_at

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


def a_writer(database: str) -> SubmissionWriter:
    """One without a bus, that was begun."""
    writer = SubmissionWriter(Database(database, "api", PLATFORM))
    writer.start()
    return writer


async def main(database: str, keyring: str, point: str) -> None:
    """Accept one request until the point is reached."""
    writer = a_writer(database)
    die_at(writer.database, point)
    await writer.write(an_entry(Path(keyring)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
