"""An api process that dies of SIGKILL while it takes a delivery."""

from pathlib import Path
from uuid import UUID

from penstock_api.adapters.hooks import HookTable
from penstock_common.clock import SystemClock
from penstock_common.db.transaction import Database
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_common.topology import PLATFORM
from tests.support.dying import die_at

DELIVERY = "72d3162e"


def hook_table(database: str, keyring: Path) -> HookTable:
    """The webhooks, without a bus."""
    return HookTable(Database(database, "api", PLATFORM), Sealer(LocalKeyring(keyring)), SystemClock())


async def main(database: str, keyring: Path, hook_id: UUID, point: str) -> None:
    """Take one delivery until the point is reached."""
    table = hook_table(database, keyring)
    trusted = await table.trusted(hook_id)
    assert trusted
    die_at(table.database, point)
    await table.order_run(trusted.hook, DELIVERY, {"body": {}}, 0)
