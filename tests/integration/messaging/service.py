"""The service under test, a process of its own. It names no bus."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import structlog

from penstock_common.errors import BusUnavailable, ContractViolated
from penstock_common.messaging.connect import connect_bus
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.delivery import HandBack
from penstock_common.messaging.router import Router
from penstock_common.messaging.runtime import Runtime
from tests.integration.messaging.shop import SHOP, Order, Packed, Paid, Placed, Refund, Returned, Scrapped, Shipped

router = Router("shop")


class Journal:
    """A file in which every process of a test writes what it does; the only thing that tests look at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("a", buffering=1)

    def write(self, what: str, id_: str) -> None:
        """One line: time, pid, what, id."""
        self.file.write(f"{time.time():.4f} {os.getpid()} {what} {id_}\n")

    def count(self, what: str, id_: str) -> int:
        """How often something was written, by any process."""
        return self.path.read_text().count(f" {what} {id_}\n")


async def act(order: Order, journal: Journal) -> None:
    """Do what the message says."""
    journal.write("start", order.id)
    match order.do.split(":"):
        case ["unavailable"]:
            raise BusUnavailable("no stock today")
        case ["invalid", *_]:
            raise ContractViolated("no such customer")
        case ["bug"]:
            raise KeyError("bug")
        case ["kill"]:
            os._exit(9)
        case ["sleep", seconds]:
            await asyncio.sleep(float(seconds))
        case ["block", seconds]:
            time.sleep(float(seconds))
        case ["fail", times] if journal.count("start", order.id) <= int(times):
            raise BusUnavailable("not yet")
        case ["handback", times] if journal.count("start", order.id) <= int(times):
            raise HandBack(0.1)
    journal.write("done", order.id)


@router.on(Placed)
async def on_placed(order: Placed, deps: Journal) -> None:
    """By FastStream."""
    await act(order, deps)


@router.on(Paid)
async def on_paid(order: Paid, deps: Journal) -> None:
    """By the plain runner."""
    await act(order, deps)


@router.on_batch(Packed, size=16, within_ms=50)
async def on_packed(orders: list[Packed], deps: Journal) -> None:
    """All or none: the first that fails fails the batch."""
    deps.write("batch", str(len(orders)))
    for order in orders:
        await act(order, deps)


@router.on(Shipped)
async def on_shipped(order: Shipped, deps: Journal) -> None:
    """In order, by the plain runner."""
    await act(order, deps)


@router.on(Returned)
async def on_returned(order: Returned, deps: Journal) -> None:
    """In order, by FastStream."""
    await act(order, deps)


@router.on(Scrapped)
async def on_scrapped(order: Scrapped, deps: Journal) -> None:
    """In order, once."""
    await act(order, deps)


@router.on(Refund)
async def refund(order: Refund, deps: Journal) -> None:
    """A command."""
    await act(order, deps)


@router.on_dead(Refund)
async def refund_dead(letter: DeadLetter, deps: Journal) -> None:
    """The owner is told; once per message id."""
    order = letter.decode(Refund)
    deps.write("told", order.id)
    if order.do.endswith(":kill") and deps.count("told", order.id) == 1:
        os._exit(9)
    deps.write("mourned", order.id)


async def main(url: str, journal: Journal, grace: float) -> None:
    """Run until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    bus = await connect_bus(url, "shop")
    runtime = Runtime(bus, SHOP, router, journal)
    await runtime.start(patience=1)
    journal.write("ready", "-")
    await stop.wait()
    await runtime.stop(grace)
    await bus.close()


def serve(url: str, journal: Path, log: Path, grace: float) -> None:
    """The process's entry: all that it says goes into `log`."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[plain], logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(url, Journal(journal), grace))
