"""The steps of a move that talk to a bus, each in a short-lived process.

Run as `python -m penstock.moving.work STEP` with the step's arguments as a JSON object on standard input; the last line
that it prints is a JSON object, or the reason where its exit code is not 0.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from penstock.moving.carry import carry
from penstock.moving.left import left_on
from penstock_common.errors import PenstockError
from penstock_common.messaging.connect import apply_topology
from penstock_common.messaging.deadletter import describe


async def lay_out(given: Mapping[str, Any]) -> dict[str, Any]:
    """Make what the bus `to` lacks. Nobody is told that something was lost: nothing was."""
    return {"made": await apply_topology(given["to"], tell=False)}


async def look(given: Mapping[str, Any]) -> dict[str, Any]:
    """What lies on the bus `at` for these services, all of them for none."""
    return {"left": await left_on(given["at"], given["services"])}


async def carry_over(given: Mapping[str, Any]) -> dict[str, Any]:
    """Move what nobody will handle any more `from` one bus `to` another, as part of the act of this id."""
    return {"carried": await carry(given["from"], given["to"], given["act"])}


STEPS: Mapping[str, Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]] = {
    "lay-out": lay_out,
    "look": look,
    "carry": carry_over,
}


async def main() -> None:
    """One step."""
    try:
        told = await STEPS[sys.argv[1]](json.load(sys.stdin))
    except PenstockError as error:
        sys.exit(describe(error))
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main())
