"""Servers that all workers of one test run share: started when first asked for, ended with the run."""

import os
import shutil
import tempfile
import threading
from multiprocessing.connection import Client, Listener
from pathlib import Path

from tests.support.servers import Server, shared_server

SOCKET = "PENSTOCK_TEST_KEEPER"
GIVEN = "PENSTOCK_TEST_{}_URL"
FAILED = "failed: "


def shared_url(kind: str) -> str:
    """Address of the run's server: `nats`, `postgres` or `rabbitmq`; fails the test where there is none.

    A server that PENSTOCK_TEST_<KIND>_URL names comes first.
    """
    if given := os.environ.get(GIVEN.format(kind.upper())):
        return given
    with Client(os.environ[SOCKET], "AF_UNIX") as connection:
        connection.send(kind)
        answer: str = connection.recv()
    if answer.startswith(FAILED):
        raise RuntimeError(answer.removeprefix(FAILED))
    return answer


class Keeper(threading.Thread):
    """Runs in the one pytest process that outlives all others, and starts one server at a time.

    The servers end with the thread that started them, however the run ends.
    """

    def __init__(self) -> None:
        super().__init__(name="keeper", daemon=True)
        self._home = Path(tempfile.mkdtemp(prefix="penstock-run-"))
        self._listener = Listener(str(self._home / "socket"), "AF_UNIX")
        self._servers: dict[str, Server] = {}
        os.environ[SOCKET] = str(self._home / "socket")

    def run(self) -> None:
        """Answer workers until one asks for nothing."""
        while True:
            with self._listener.accept() as connection:
                kind = connection.recv()
                if not kind:
                    return
                connection.send(self._answer(kind))

    def close(self) -> None:
        """End the servers."""
        with Client(os.environ.pop(SOCKET), "AF_UNIX") as connection:
            connection.send("")
        self.join()
        for server in self._servers.values():
            server.dispose()
        self._listener.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _answer(self, kind: str) -> str:
        try:
            if kind not in self._servers:
                self._servers[kind] = shared_server(kind).start()
        except Exception as error:  # whatever it is, it belongs into the test that asked
            return f"{FAILED}{error}"
        return self._servers[kind].url
