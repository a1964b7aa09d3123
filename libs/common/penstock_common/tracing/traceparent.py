"""W3C Trace Context, level 1: the `traceparent` header."""

import re

TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


def parsed(traceparent: str) -> tuple[str, str, int] | None:
    """(trace id, span id, flags) of a header, ids in hexadecimal; None for what is none."""
    known = TRACEPARENT.fullmatch(traceparent)
    return (known[1], known[2], int(known[3], 16)) if known else None


def continued(traceparent: str | None, entropy: bytes) -> str:
    """The caller's trace with a new parent id of ours, or a new trace; `entropy` is 24 random bytes."""
    known = TRACEPARENT.fullmatch(traceparent or "")
    trace, flags = (known[1], known[3]) if known else (entropy[8:].hex(), "01")
    return f"00-{trace}-{entropy[:8].hex()}-{flags}"
