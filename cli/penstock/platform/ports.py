"""Choosing TCP ports on the loopback address."""

import os
import socket
from contextlib import ExitStack

import psutil

from penstock.platform.errors import PlatformError

LOOPBACK = "127.0.0.1"
PREFERRED = 8080
TRIES = 200
BACKLOG = 2048


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]


def listen(port: int) -> socket.socket | None:
    """A listening socket on the port; None where that can't be had."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        return None
    return listener


def open_port(wanted: int | None, preferred: int = PREFERRED) -> socket.socket:
    """A listener on the wanted port, or on the preferred or next free one; raises PlatformError if wanted is taken.

    It is held for as long as the platform runs: no other program can answer there, and who connects while the
    service is started again waits instead of being refused.
    """
    if wanted is None:
        candidates = (listen(port) for port in (*range(preferred, preferred + TRIES), 0))
        return next(filter(None, candidates))
    if not 0 < wanted < 1 << 16:
        raise PlatformError(f"--port {wanted} is not a TCP port; choose one from 1 to 65535.")
    if listener := listen(wanted):
        return listener
    if wanted < 1024 and os.geteuid() != 0:
        raise PlatformError(f"Port {wanted} is for root alone; choose one from 1024 to 65535.")
    raise PlatformError(
        f"Port {wanted} is taken{by_whom(wanted)}. Choose another --port, or leave it out for a free one."
    )


def by_whom(port: int) -> str:
    """` by process …` for the one that listens there, where the system shows it; else nothing."""
    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
        if listens and connection.pid:
            return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return ""
