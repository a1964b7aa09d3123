"""Ports: free ones are found, a taken one is refused with its owner's name."""

import os
import socket
from collections.abc import Iterator

import pytest

from penstock.platform import ports
from penstock.platform.errors import PlatformError


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.socket() as listener:
        listener.bind((ports.LOOPBACK, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_wanted_port_that_is_taken_is_refused_with_its_owner(taken: int) -> None:
    """The owner's pid is what one needs to free the port."""
    with pytest.raises(PlatformError, match=f"Port {taken} is taken by process {os.getpid()}"):
        ports.open_port(taken)


def test_without_a_wish_the_next_free_port_is_taken(taken: int) -> None:
    """A taken preferred port costs nothing but a higher number."""
    with ports.open_port(None, preferred=taken) as listener:
        assert listener.getsockname()[1] > taken


def test_an_open_port_is_nobody_elses() -> None:
    """Two platforms that start at once never share a port, not even before their services listen."""
    with ports.open_port(None) as first, ports.open_port(None) as second:
        assert first.getsockname() != second.getsockname()


@pytest.mark.parametrize("number", [0, -1, 65536])
def test_what_is_no_port_is_refused(number: int) -> None:
    """Numbers outside TCP's range get a sentence, not a socket error."""
    with pytest.raises(PlatformError, match="is not a TCP port"):
        ports.open_port(number)


def test_free_ports_differ() -> None:
    """Ports chosen together can be used together."""
    assert len(set(ports.free_ports(20))) == 20
