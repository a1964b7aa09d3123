"""How a message is written on NATS's wire: commands, and headers."""

from collections.abc import Mapping

VERSION = "NATS/1.0"
STATUS, DESCRIPTION = "status", "description"
LINE_ENDS = str.maketrans("\r\n", "  ")


def command(subject: str, reply: str, head: bytes, body: bytes) -> bytes:
    """A message on its way to the server."""
    if head:
        line = f"HPUB {subject} {reply} {len(head)} {len(head) + len(body)}\r\n"
    else:
        line = f"PUB {subject} {reply} {len(body)}\r\n"
    return b"".join((line.encode(), head, body, b"\r\n"))


def head_of(headers: Mapping[str, str]) -> bytes:
    """Headers as a block; a line's end within a value becomes a space."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if not lines.count("\r") == lines.count("\n") == len(headers):
        return head_of({n.translate(LINE_ENDS): value.translate(LINE_ENDS) for n, value in headers.items()})
    return f"{VERSION}\r\n{lines}\r\n".encode()


def headers_of(head: bytes) -> dict[str, str]:
    """A block as names in lower case and values; the server's own words are under `status` and `description`."""
    if not head:
        return {}
    first, *lines, _, _ = head.decode("utf-8", "replace").split("\r\n")
    try:
        found = {name.lower(): value for name, value in [line.split(": ", 1) for line in lines]}
    except ValueError:  # not written by us, nor by the server
        found = {name.strip().lower(): value.strip() for name, _, value in [line.partition(":") for line in lines]}
    if len(first) > len(VERSION):
        found[STATUS], _, found[DESCRIPTION] = first[len(VERSION) + 1 :].partition(" ")
    return found
