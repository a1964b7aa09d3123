"""One look of a supervised platform's watch, in a short-lived process: what it needs of memory is freed with it.

Run as `python -m penstock.auditing.turn` with `Order` as JSON on standard input.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from penstock.auditing.place import Place
from penstock.auditing.run import Audit, Sources, chosen
from penstock.auditing.watch import Watch
from penstock_common.errors import PenstockError

NICENESS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Where to read, and the data folder that keeps what is known."""

    database: str
    bus: str
    data: str


def main() -> None:
    """Look once, and keep the report; exit code 1 and one line on standard error where that can't be done."""
    order = Order(**json.load(sys.stdin))
    os.nice(NICENESS)
    watch = Watch(Audit(Sources(order.database, order.bus), chosen(None)), Place.of(Path(order.data)))
    try:
        asyncio.run(watch.look())
    except PenstockError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
