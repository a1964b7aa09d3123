"""A process that loads the code of all services once, and becomes one of them at each order.

The fork of a loaded process takes milliseconds instead of a second, and shares the memory of the code with the others.
Run as `python -m penstock.platform.zygote FD MODULE…`: FD is its end of the socket pair on which orders come, and the
modules are those to load.
"""

import ctypes
import fcntl
import gc
import importlib
import json
import os
import runpy
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import setproctitle
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from penstock.platform.credentials import SERVICES

LOADED = b"loaded"
FIRST_FD = 3
"""Where the file descriptors begin that a program inherits."""
MOST_FDS = 8
_AWAY = 512  # above every descriptor that a zygote or its supervisor has open
_ADOPTED_WITHIN = 10.0  # seconds
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to become: a command line `python -m MODULE …` with what belongs to it."""

    number: int
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    parent: int
    """The process that adopts the new one, and without which it ends."""
    stop_signal: int


def main() -> None:
    """Load, take orders; whatever is ordered runs here, on an empty stack, and ends as if it had been started alone."""
    setproctitle.getproctitle()  # finds the place of the title, which is behind the environment as it was at the start
    control = socket.socket(fileno=int(sys.argv[1]))
    metrics = load(sys.argv[2:])
    control.send(LOADED)
    if fds := serve(control):
        module = become(fds, control)
        for collector in (each for package, own in metrics.items() if package != module for each in own):
            REGISTRY.unregister(collector)
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def load(modules: Sequence[str]) -> dict[str, set[MetricWrapperBase]]:
    """Import what many processes need, and give the metrics of each service by its package.

    Nothing of it may start a thread: a fork would be without it.
    """
    # structlog loads rich where it is installed, for tracebacks on a terminal: a tenth of the time.
    sys.modules["rich"] = None  # type: ignore[assignment]
    gc.disable()
    for name in modules:
        importlib.import_module(name)
    # Found here, as whoever looks at all modules writes to the pages of what it sees.
    metrics = {f"penstock_{service}": _metrics_of(service) for service in SERVICES}
    gc.freeze()  # a collector that visits these objects would write to their pages, and so unshare them
    return metrics


def serve(control: socket.socket) -> list[int]:
    """The file descriptors of an order, in the process that is to carry it out; none where the supervisor is gone."""
    while True:
        message, fds, _, _ = socket.recv_fds(control, 1, MOST_FDS)
        if not message:
            return []
        # The first fork ends at once, so that the second is adopted by the supervisor and outlives this process.
        between = os.fork()
        if not between:
            if os.fork():
                os._exit(0)
            return fds
        for fd in fds:
            os.close(fd)
        os.waitpid(between, 0)


def become(fds: list[int], control: socket.socket) -> str:
    """Take on everything of the order but its code: that is the module whose name it gives."""
    with os.fdopen(fds[0]) as file:
        order = Order(**json.load(file))
    os.setsid()
    end_with(order.parent, order.stop_signal)
    control.send(f"{order.number} {os.getpid()}".encode())
    control.close()
    _lay_out(fds[1:])
    os.environ.clear()
    os.environ.update(order.env)
    os.chdir(order.cwd)
    setproctitle.setproctitle(" ".join(order.argv))
    _, _, module, *arguments = order.argv
    sys.argv = [module, *arguments]
    gc.enable()
    return module


def end_with(parent: int, stop_signal: int) -> None:
    """Wait to be adopted, then tie this process's life to its parent's."""
    patience = time.monotonic() + _ADOPTED_WITHIN
    while os.getppid() != parent:
        if time.monotonic() > patience:
            os._exit(1)
        time.sleep(0.001)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _lay_out(fds: list[int]) -> None:
    """Make standard input, standard output with standard error, and the inherited ones of these; close all others."""
    away = [fcntl.fcntl(fd, fcntl.F_DUPFD, _AWAY) for fd in fds]
    os.closerange(FIRST_FD, _AWAY)
    stdin, output, *inherited = away
    for fd, place in ((stdin, 0), (output, 1), (output, 2)):
        os.dup2(fd, place)
    for place, fd in enumerate(inherited, FIRST_FD):
        os.dup2(fd, place)
    for fd in away:
        os.close(fd)


def _metrics_of(service: str) -> set[MetricWrapperBase]:
    """What a service counts: the metrics in its modules."""
    loaded = tuple(module for name, module in sys.modules.items() if name.startswith(f"penstock_{service}."))
    values = (value for module in loaded for value in vars(module).values())
    return {value for value in values if isinstance(value, MetricWrapperBase)}


if __name__ == "__main__":
    main()
