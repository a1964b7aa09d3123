"""Choosing TCP ports on the loopback address."""

import os
import socket
from contextlib import ExitStack

import psutil

from penstock.platform.errors import PlatformError

LOOPBACK = "127.0.0.1"
PREFERRED = 8080
TRIES = 200


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError:
            return False
    return True


def choose_port(wanted: int | None, preferred: int = PREFERRED) -> int:
    """The wanted port, or the preferred or next free one; raises PlatformError where the wanted one is taken."""
    if wanted is None:
        for port in range(preferred, preferred + TRIES):
            if is_free(port):
                return port
        return free_ports(1)[0]
    if not 0 < wanted < 1 << 16:
        raise PlatformError(f"--port {wanted} is not a TCP port; choose one from 1 to 65535.")
    if wanted < 1024 and os.geteuid() != 0 and not is_free(wanted):
        raise PlatformError(f"Port {wanted} is for root alone; choose one from 1024 to 65535.")
    if not is_free(wanted):
        raise PlatformError(
            f"Port {wanted} is taken{_by_whom(wanted)}. Choose another --port, or leave it out for a free one."
        )
    return wanted


def _by_whom(port: int) -> str:
    """The process that listens there, where the system shows it."""
    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
        if listens and connection.pid:
            return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return ""
