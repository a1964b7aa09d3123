"""An indexer that dies of SIGKILL once a statement with some text was executed, before what follows it."""

import asyncio
import os
import signal
from typing import Any

from sqlalchemy import event

from penstock_common.service import begin
from penstock_indexer.app import build
from penstock_indexer.settings import Settings


async def main(fragment: str, settings: dict[str, Any]) -> None:
    """Work until the statement comes."""
    app = build(Settings.model_validate(settings))

    def executed(_: Any, __: Any, statement: str, *___: Any) -> None:
        if fragment in statement:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(app.foundation.database.engine.sync_engine, "after_cursor_execute", executed)
    await begin(app)
    await asyncio.sleep(120)
