"""Gathers what one turn of the event loop sends to the same process, so that it leaves as one message."""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from penstock_common.errors import BusUnavailable, ContractViolated
from penstock_common.messaging.ports import Receive

log = structlog.get_logger()

FULL = 256 << 10  # bytes; more than that leaves at once
ENTRY = 16  # bytes, at most, that a key and its body take besides their own, alone in a pack

Pack = list[tuple[str, bytes]]
Leave = Callable[[str, bytes], None]
"""Puts a pack for a process into the buffer of the connection. Raises BusUnavailable."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Pack).decode


class Packs:
    """The packs of this turn, by process; the order of what is sent to one process stays."""

    def __init__(self, leave: Leave) -> None:
        self._leave = leave
        self._packs: dict[str, Pack] = {}
        self._sizes: dict[str, int] = {}
        self.size = 0
        """Bytes that wait for the end of this turn."""

    def add(self, process: str, key: str, body: bytes) -> None:
        """Send with the rest of this turn."""
        size = packed_size(key, body)
        waiting = self._sizes.get(process, 0)
        if waiting and waiting + size > FULL:
            self._go(process)
            waiting = 0
        if not self._packs:
            asyncio.get_running_loop().call_soon(self.flush)
        self._packs.setdefault(process, []).append((key, body))
        self._sizes[process] = waiting + size
        self.size += size

    def flush(self) -> None:
        """Let go of all that waits."""
        for process in list(self._packs):
            self._go(process)

    def _go(self, process: str) -> None:
        self.size -= self._sizes.pop(process)
        pack = self._packs.pop(process)
        try:
            self._leave(process, _encode(pack))
        except BusUnavailable as error:  # it went within this turn
            log.warning("inbox.unsent", process=process, messages=len(pack), reason=error.message)


def packed_size(key: str, body: bytes) -> int:
    """Bytes of a pack of one message, at most; keys are ASCII."""
    return len(key) + len(body) + ENTRY


def unpacking(receive: Receive) -> Callable[[bytes], None]:
    """Calls `receive` for each message of a pack, in order; one that it fails for costs only itself."""

    def take(body: bytes) -> None:
        for key, message in unpacked(body):
            try:
                receive(key, message)
            except Exception:
                log.exception("inbox.failed", key=key)

    return take


def unpacked(body: bytes) -> Pack:
    """Keys and bodies. Raises ContractViolated."""
    try:
        return _decode(body)
    except msgspec.MsgspecError as error:
        raise ContractViolated(f"a pack: {error}") from error
