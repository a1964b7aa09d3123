"""The life of a service process: settings, logs, start, serve, graceful stop."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol, TypeVar

import structlog
import uvicorn
import uvloop
from pydantic import ValidationError

from penstock_common.bounded_http import BoundedHttp
from penstock_common.errors import BusUnavailable, DatabaseUnavailable
from penstock_common.settings import ServiceSettings
from penstock_common.telemetry import configure_logging, exported_traces

log = structlog.get_logger()

BOOT_SECONDS = 30.0  # how long a service waits for its database and bus


class App(Protocol):
    """What a service's composition root gives back."""

    asgi: Any
    """The HTTP application: the service's own routes, or only the three of `ops`."""

    async def connect(self) -> None:
        """Reach what the service depends on. Repeated while it raises BusUnavailable or DatabaseUnavailable."""

    async def start(self) -> None:
        """Begin work, once connected. Called once; what it raises ends the process."""

    async def stop(self) -> None:
        """Finish or hand back what runs, flush, disconnect."""


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
    with exported_traces(name, settings), contextlib.suppress(KeyboardInterrupt):
        uvloop.run(live(name, settings, build))


async def live(name: str, settings: S, build: Callable[[S], App]) -> None:
    """Run until SIGTERM or SIGINT."""
    app, stopping = build(settings), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = HttpServer(http_config(app.asgi, settings))
    fd = settings.http.fd
    serving = asyncio.create_task(server.serve([socket.socket(fileno=fd)] if fd is not None else None))
    try:
        if await started(app, stopping, serving):
            log.info("service.started", service=name, port=settings.http.port)
            await asyncio.wait({serving, asyncio.create_task(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        await serving
        await app.stop()
        log.info("service.stopped", service=name)


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


def explain(name: str, error: ValidationError) -> str:
    """Which environment variable is missing or wrong, one a line."""
    lines = [f"{name}: the configuration is not complete:"]
    for problem in error.errors():
        variable = f"PENSTOCK_{name.upper()}_" + "__".join(str(part).upper() for part in problem["loc"])
        lines.append(f"  {variable}: {problem['msg']}")
    return "\n".join(lines)
