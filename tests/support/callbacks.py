"""Requests that have ended, whose ends are to be posted, and the part of an api process that does it."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import msgspec

from penstock_api.adapters.callback_table import CallbackTable
from penstock_api.adapters.callbacks import Callbacks, context_of
from penstock_api.domain.callbacks import Callback, CallbackState, CallbackTold
from penstock_common.clock import SystemClock
from penstock_common.db.transaction import Database
from penstock_common.guarded_http import GuardedHttp, Policy
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.topology import PLATFORM
from tests.support.databases import Databases
from tests.support.submissions_process import TENANT, a_writer, an_entry
from tests.support.submitting import rows

SECRET = "whsec_" + base64.b64encode(b"river" * 6).decode()
LOCAL = ("127.0.0.0/8",)


def callbacks_of(database: str, keyring: Path, allow: Sequence[str] = LOCAL, pauses: Sequence[float] = ()) -> Callbacks:
    """As in an api process; it posts again after these pauses."""
    table = CallbackTable(Database(database, "api", PLATFORM))
    http = GuardedHttp(Policy.of(allow))
    return Callbacks(table, Sealer(LocalKeyring(keyring)), http, SystemClock(), pauses)


@asynccontextmanager
async def telling(callbacks: Callbacks) -> AsyncIterator[Callbacks]:
    """One that runs."""
    callbacks.start()
    try:
        yield callbacks
    finally:
        await callbacks.stop()
        await callbacks.table.database.close()


async def ended_request(databases: Databases, keyring: Path, url: str, tenant: UUID = TENANT) -> UUID:
    """The id of one whose end is to be posted to a URL."""
    writer, entry = a_writer(databases.services["api"]), an_entry(keyring)
    id_ = entry.command.request_id
    content = msgspec.json.encode(Callback(url, SECRET))
    sealed = Sealer(LocalKeyring(keyring)).seal(tenant, context_of(id_), content)
    callback = {"request_id": id_, "tenant": tenant, "depth": 2, "sealed": sealed}
    await writer.write(replace(entry, claim=None, hook=None, callback=callback))
    await writer.stop()
    await writer.database.close()
    end = "update api.requests set status = 'succeeded', ended_at = now() where request_id = $1 returning 1"
    await rows(databases, end, id_)
    return id_


async def known(callbacks: Callbacks, id_: UUID, *states: CallbackState, seconds: float = 15.0) -> CallbackTold:
    """What became of a URL, once it is in one of these states and was posted to, so that there is a problem or none."""
    async with asyncio.timeout(seconds):
        while True:
            told = await callbacks.table.of(TENANT, id_)
            if told.state in states and (told.problem or told.settled_at):
                return told
            await asyncio.sleep(0.05)


async def post(database: str, keyring: Path) -> None:
    """Post what is due for as long as the process lives."""
    async with telling(callbacks_of(database, keyring)):
        await asyncio.Event().wait()
