"""Three NATS servers on one machine that keep each stream three times."""

import asyncio
import json
import shutil
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.platform.nats import NatsServer
from penstock.platform.ports import LOOPBACK, free_ports
from penstock.platform.program import Program
from tests.support.servers import PASSWORD, Server, scratch_folder

NODES = 3
CLUSTER = """\
cluster {{ name: chaos, listen: "{host}:{port}", no_advertise: true, routes: [{routes}] }}
"""


@dataclass(frozen=True, slots=True)
class ClusteredNats:
    """One of the servers."""

    alone: NatsServer
    route_port: int
    routes: tuple[int, ...]
    """Ports on which the servers meet."""

    @property
    def name(self) -> str:
        """Of its log."""
        return self.alone.name

    @property
    def url(self) -> str:
        """For clients; every stream is kept by all nodes."""
        return f"{self.alone.url}?replicas={NODES}"

    def prepare(self) -> None:
        """Write the configuration."""
        self.alone.prepare()
        routes = ", ".join(f'"nats://{LOOPBACK}:{port}"' for port in self.routes)
        with (self.alone.home / "nats.conf").open("a") as config:
            config.write(CLUSTER.format(host=LOOPBACK, port=self.route_port, routes=routes))

    def program(self) -> Program:
        """The server's command line."""
        return self.alone.program()

    async def is_ready(self, pid: int) -> bool:
        """Whether it greets its clients; it may still know no leader."""
        return await self.alone.is_ready(pid)


class NatsCluster:
    """The three together, as if they were one server."""

    def __init__(self) -> None:
        self.home = scratch_folder("nats-cluster")
        ports = free_ports(3 * NODES)
        routes = tuple(ports[:NODES])
        self.nodes = [
            Server(
                ClusteredNats(
                    NatsServer(self.home / f"node-{n}", PASSWORD, ports[NODES + n], ports[2 * NODES + n], f"nats-{n}"),
                    routes[n],
                    routes,
                ),
                self.home,
            )
            for n in range(NODES)
        ]

    @property
    def urls(self) -> list[str]:
        """One a node."""
        return [node.url for node in self.nodes]

    @property
    def url(self) -> str:
        """Of the first node."""
        return self.nodes[0].url

    @property
    def logs(self) -> list[Path]:
        """What they printed."""
        return [node.log for node in self.nodes]

    def start(self) -> "NatsCluster":
        """Start those that are down, and wait until all agree on a leader."""
        for node in self.nodes:
            if not node.alive:
                node.start()
        asyncio.run(self._agreed())
        return self

    def kill(self) -> None:
        """kill -9 of all."""
        for node in self.nodes:
            if node.alive:
                node.kill()

    def kill_leader(self) -> None:
        """kill -9 of the node that leads most streams."""
        leads = Counter(leader for leader in self._leaders() if leader)
        names = [node.kind.alone.identity for node in self.nodes if isinstance(node.kind, ClusteredNats)]
        self.nodes[names.index(leads.most_common(1)[0][0]) if leads else 0].kill()

    def freeze(self) -> None:
        """Stop the clock of the first node alone: the others go on."""
        self.nodes[0].freeze()

    def thaw(self) -> None:
        """Let it go on."""
        self.nodes[0].thaw()

    def dispose(self) -> None:
        """End them, in no order, and remove all that they kept."""
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def _leaders(self) -> list[str]:
        """The leader of each stream."""
        found = self._ask(self.nodes[0], "/jsz?streams=true")
        return [
            stream["cluster"].get("leader", "")
            for account in found.get("account_details", ())
            for stream in account.get("stream_detail", ())
        ]

    async def _agreed(self) -> None:
        async with asyncio.timeout(30):
            while not all(await asyncio.gather(*(asyncio.to_thread(self._is_healthy, node) for node in self.nodes))):
                await asyncio.sleep(0.1)

    def _is_healthy(self, node: Server) -> bool:
        try:
            return bool(self._ask(node, "/healthz").get("status") == "ok")
        except OSError:
            return False

    def _ask(self, node: Server, path: str) -> dict[str, Any]:
        assert isinstance(node.kind, ClusteredNats)
        url = f"http://{LOOPBACK}:{node.kind.alone.monitor_port}{path}"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found
