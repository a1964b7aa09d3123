"""The places that the processes of services have: their names, and the sockets that outlive whoever has the place."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock.platform.ports import LOOPBACK, open_port

ANY_PORT = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """One process of a service, and its successors."""

    service: str
    number: int
    own: socket.socket
    """Where this process is asked for its metrics; where it is the only one, for everything."""
    shared: socket.socket | None = None
    """Where it and the other processes of the service take requests: whoever of them is free."""

    @property
    def name(self) -> str:
        """`api`, then `api.2`."""
        return self.service if self.number == 1 else f"{self.service}.{self.number}"

    @property
    def port(self) -> int:
        """Where it takes requests."""
        return port_of(self.shared or self.own)

    @property
    def metrics_url(self) -> str:
        """Its own metrics."""
        return f"http://{LOOPBACK}:{port_of(self.own)}/metrics"

    def sockets(self) -> tuple[socket.socket, ...]:
        """What its process inherits: first where it takes requests, then where it is asked alone."""
        return (self.shared, self.own) if self.shared else (self.own,)


def port_of(listener: socket.socket) -> int:
    """The TCP port of a listener."""
    port: int = listener.getsockname()[1]
    return port


def make_slots(counts: Mapping[str, int], public: socket.socket) -> Sequence[Slot]:
    """A place for each process; api's share the public listener, what others have is only asked for metrics."""
    several = public if counts["api"] > 1 else None
    first = Slot("api", 1, open_port(None, ANY_PORT) if several else public, several)
    wanted = [(service, number + 1) for service, count in counts.items() for number in range(count)]
    others = [
        Slot(service, number, open_port(None, ANY_PORT), several if service == "api" else None)
        for service, number in wanted
        if (service, number) != ("api", 1)
    ]
    return (first, *others)
