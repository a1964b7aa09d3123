"""The life of a service process: settings, logs, start, serve, graceful stop."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import structlog
import uvicorn
import uvloop
from pydantic import ValidationError

from penstock_common.bounded_http import BoundedHttp, end_late
from penstock_common.errors import BusUnavailable, DatabaseUnavailable
from penstock_common.open_files import allow_all
from penstock_common.settings import ServiceSettings
from penstock_common.telemetry import configure_logging, exported_traces

log = structlog.get_logger()

YOUNG = 20_000  # new objects before the collector looks: what a tick of thousands of streams makes is gone by itself
BOOT_SECONDS = 30.0  # how long a service waits for its database and bus
KEEP_ALIVE_SECONDS = 10.0  # twice what httpx, and so the official client, keeps a connection that nobody uses
READY_PAUSE = 0.1  # seconds between two looks at what is not ready


class App(Protocol):
    """What a service's composition root gives back."""

    asgi: Any
    """The HTTP application: the service's own routes, or only the three of `ops`."""

    async def connect(self) -> None:
        """Reach what the service depends on. Repeated while it raises BusUnavailable or DatabaseUnavailable."""

    async def start(self) -> None:
        """Begin work, once connected. Called once; what it raises ends the process."""

    async def stop(self, grace: float | None = None) -> None:
        """Give what runs `grace` seconds, else those of the settings; hand back the rest, flush, disconnect."""

    async def checks(self) -> dict[str, bool]:
        """Whether each dependency answers now."""


S = TypeVar("S", bound=ServiceSettings)
T = TypeVar("T")


def run_service(name: str, settings_class: type[S], build: Callable[[S], App]) -> None:
    """The main function of a service. `check-config` as argument builds the settings and exits."""
    try:
        settings = settings_class()
    except ValidationError as error:
        sys.exit(explain(name, error))
    if sys.argv[1:] == ["check-config"]:
        print(f"the configuration of {name} is complete")
        return
    configure_logging(name, settings.log)
    allow_all()
    with exported_traces(name, settings), contextlib.suppress(KeyboardInterrupt):
        uvloop.run(live(name, settings, build))


async def live(name: str, settings: S, build: Callable[[S], App]) -> None:
    """Run until SIGTERM or SIGINT, or until SIGQUIT and then to the end of what runs."""
    app, ending = build(settings), Ending.on_signals()
    server, grace = HttpServer(http_config(app.asgi, settings)), settings.stop_grace
    ready = asyncio.Event()
    serving = asyncio.create_task(serve(server, settings, ready))
    try:
        if await started(app, ending.stopping, serving):
            log.info("service.started", service=name, port=settings.http.port)
            leave_to_stay()
            telling = asyncio.create_task(tell_ready(app, server, ready, settings.ready_fd))
            await first_of(serving, ending.stopping.wait(), ending.draining.wait())
            telling.cancel()
            if ending.draining.is_set() and not ending.stopping.is_set():
                grace = settings.drain_grace
                log.info("service.draining", service=name, seconds=grace)
                await server.drain(grace, ending.stopping)
    finally:
        server.should_exit = True
        if settings.http.when_ready and not ready.is_set():
            serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        await app.stop(grace)
        log.info("service.stopped", service=name)


@dataclass(frozen=True, slots=True)
class Ending:
    """How the process was asked to end."""

    stopping: asyncio.Event
    draining: asyncio.Event

    @classmethod
    def on_signals(cls) -> "Ending":
        """By the signals of the running loop's process."""
        made, loop = cls(asyncio.Event(), asyncio.Event()), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, made.stopping.set)
        loop.add_signal_handler(signal.SIGQUIT, made.draining.set)
        return made


async def serve(server: "HttpServer", settings: ServiceSettings, ready: asyncio.Event) -> None:
    """Take requests, at once or from the moment the service is ready on."""
    if settings.http.when_ready:
        await ready.wait()
    await server.serve([socket.socket(fileno=fd) for fd in settings.http.fds()] or None)


async def tell_ready(app: App, server: "HttpServer", ready: asyncio.Event, fd: int | None) -> None:
    """Wait until each dependency answers and requests are taken; then say so to the parent process."""
    while not all((await app.checks()).values()):  # noqa: ASYNC110 (nobody announces that a dependency answers)
        await asyncio.sleep(READY_PAUSE)
    ready.set()
    while not server.started:  # noqa: ASYNC110 (as above: uvicorn)
        await asyncio.sleep(READY_PAUSE)
    if fd is not None:
        os.write(fd, b"\n")


async def first_of(*what: Awaitable[object]) -> None:
    """Return when one of them is done; the others are cancelled, unless they are tasks."""
    tasks = [asyncio.ensure_future(each) for each in what]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, given in zip(tasks, what, strict=True):
        if task is not given:
            task.cancel()


def leave_to_stay() -> None:
    """Have the garbage collector look no more at what was made to last: that was a fifth of a request's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)


def http_config(asgi: Any, settings: ServiceSettings) -> uvicorn.Config:
    """How a service listens: bounded heads, no lifespan, running requests get the grace of the settings."""
    return uvicorn.Config(
        asgi,
        host=settings.http.host,
        port=settings.http.port,
        http=BoundedHttp,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_keep_alive=int(KEEP_ALIVE_SECONDS),
        timeout_graceful_shutdown=int(settings.stop_grace) or 1,
    )


async def started(app: App, stopping: asyncio.Event, serving: "asyncio.Task[None]") -> bool:
    """Start the app, unless a signal or a taken port comes first: False then."""
    starting = asyncio.create_task(begin(app))
    waiting = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait({starting, waiting, serving}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if starting not in done:
        starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
        return True
    return False


async def begin(app: App) -> None:
    """Connect, however long a dependency takes within reason; then start."""
    await patiently(app.connect)
    await app.start()


async def patiently(connect: Callable[[], Awaitable[T]], seconds: float = BOOT_SECONDS) -> T:
    """Repeat until the database and the bus answer, for `seconds`; then raise what they said."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        try:
            return await connect()
        except (BusUnavailable, DatabaseUnavailable) as error:
            if loop.time() > end:
                raise
            log.info("dependency.awaited", reason=error.message)
            await asyncio.sleep(0.2)


class HttpServer(uvicorn.Server):
    """Uvicorn without its signal handlers: the service decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def drain(self, seconds: float, hurry: asyncio.Event) -> None:
        """Take no more connections, and wait until those that are there have ended; no longer than `seconds`.

        Each may ask once more, and is told by the answer that it was the last: so none ends while a request is on its
        way. One that asks nothing ends when it has been idle for long, as always.
        """
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self.server_state.connections and loop.time() < until and not hurry.is_set():
            for connection in self.server_state.connections:
                if isinstance(connection, BoundedHttp):
                    connection.end_soon()
            await asyncio.sleep(0.1)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: see whether to stop, and now and then to connections whose next request is late."""
        if counter % 5 == 0:
            end_late(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)


def explain(name: str, error: ValidationError) -> str:
    """Which environment variable is missing or wrong, one a line."""
    lines = [f"{name}: the configuration is not complete:"]
    for problem in error.errors():
        variable = f"PENSTOCK_{name.upper()}_" + "__".join(str(part).upper() for part in problem["loc"])
        lines.append(f"  {variable}: {problem['msg']}")
    return "\n".join(lines)
