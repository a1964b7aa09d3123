"""Engines that break HTTP, or hang up in the middle of it: what was said is kept, and the connection is not."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.integration.inference.engines.misbehaving import (
    COUNTS,
    HEL,
    HELLO,
    LO,
    MEASURED,
    ROLE,
    Case,
    Rig,
    failed,
    good,
    partial,
)
from tests.support.engine_fake import DONE, chunk, event
from tests.support.engine_wire import LAST, After, Wire, framed, head, sent, stream_head, whole

CUT, GARBLED, FAILED = "inference.engine_cut", "inference.engine_garbled", "inference.engine_failed"
OVERLOADED, REFUSED = "inference.engine_overloaded", "inference.engine_refused"
BODY = b"".join((*HELLO, COUNTS, DONE))
UNFRAMED = head(content_type="text/event-stream", connection="close")


def raw(*pieces: bytes | float, after: After = After.CLOSE) -> Wire:
    """These bytes, whatever they are."""
    return Wire(pieces, after)


def sized(body: bytes, length: int, after: After = After.KEEP) -> Wire:
    """A stream of events that is announced with this length."""
    return raw(head(content_type="text/event-stream", content_length=str(length)), body, after=after)


ENDS = (
    failed("hangs up without a byte", raw(), CUT),
    failed("resets without a byte", raw(after=After.RESET), CUT),
    failed("hangs up in the head", raw(b"HTTP/1.1 200 O"), CUT),
    failed("hangs up after the head", raw(stream_head()), CUT),
    partial("hangs up between events", sent(ROLE, HEL, after=After.CLOSE), CUT),
    partial("resets between events", sent(ROLE, HEL, after=After.RESET), CUT),
    partial("hangs up in an event", sent(HEL, LO[:20], after=After.CLOSE), CUT),
    partial("hangs up in a chunk", raw(stream_head(), framed(HEL), b"50\r\ndata: {"), CUT),
    partial("hangs up in a chunk's size", raw(stream_head(), framed(HEL), b"5"), CUT),
    partial("ends in order between events", sent(ROLE, HEL), CUT, clean=True),
    partial("ends in order in an event", sent(HEL, LO[:30]), CUT, clean=True),
    partial("ends in order in a line's name", sent(HEL, b"dat"), CUT, clean=True),
    failed("ends in order in the first event", sent(LO[:30]), CUT, clean=True),
    partial("hangs up, unframed", raw(UNFRAMED, HEL), CUT),
    partial("hangs up in an event, unframed", raw(UNFRAMED, HEL, LO[:30]), CUT),
    partial("less than announced", sized(HEL, 9999, After.CLOSE), CUT),
    partial("more than announced", sized(HEL + LO, len(HEL) + 30), CUT),
    good("unframed, to its end", raw(UNFRAMED, BODY), tokens=MEASURED, clean=False),
    good("hangs up after the finish", sent(*HELLO, after=After.CLOSE), clean=False),
    good("resets after the counts", sent(*HELLO, COUNTS, after=After.RESET), tokens=MEASURED, clean=False),
    good("less than announced, but complete", sized(BODY, 9999, After.CLOSE), tokens=MEASURED, clean=False),
    good("hangs up in the counts", sent(*HELLO, COUNTS[:30], after=After.CLOSE), clean=False),
)

FRAMES = (
    good(
        "extensions and trailers",
        raw(stream_head(), b"%x;a=b\r\n%b\r\n0\r\nx: y\r\n\r\n" % (len(BODY), BODY), after=After.KEEP),
        tokens=MEASURED,
    ),
    good("a byte at a time", sent(*HELLO, COUNTS, DONE).one_by_one(), tokens=MEASURED),
    good("all at once", Wire((sent(*HELLO, COUNTS, DONE).data,)), tokens=MEASURED),
    failed("no size of a chunk", raw(stream_head(), b"zz\r\n", after=After.HANG), CUT),
    partial("no size of the next chunk", raw(stream_head(), framed(HEL), b"zz\r\n", after=After.HANG), CUT),
    partial("a chunk longer than its size", raw(stream_head(), framed(HEL), b"2\r\nabcd\r\n", after=After.HANG), CUT),
    good(
        "no size after the finish",
        raw(stream_head(), framed(b"".join(HELLO)), b"zz\r\n", after=After.HANG),
        clean=False,
    ),
    failed("binary in place of HTTP", raw(bytes(range(256)), after=After.HANG), GARBLED),
    failed("another protocol", raw(b"SSH-2.0-OpenSSH_9.6\r\n", after=After.HANG), GARBLED),
    failed("a body without a head", raw(b'{"choices": []}\r\n\r\n', after=After.HANG), GARBLED),
    failed("an impossible status", raw(b"HTTP/1.1 abc OK\r\n\r\n", after=After.HANG), GARBLED),
    failed("an impossible length", raw(head(content_length="-5"), after=After.HANG), GARBLED),
    failed("a huge head", raw(head(x="y" * 100_000), after=After.HANG), GARBLED),
    failed("two framings", raw(stream_head(content_length="5"), LAST, after=After.HANG), GARBLED),
)

STATUSES = (
    good("100 before", raw(head("100 Continue"), sent(*HELLO, COUNTS, DONE).data, after=After.KEEP), tokens=MEASURED),
    good("103 before", raw(head("103 Early Hints", link="</x>"), sent(*HELLO, DONE).data, after=After.KEEP)),
    failed("101", raw(head("101 Switching Protocols", upgrade="x", connection="upgrade"), after=After.HANG), GARBLED),
    failed("307", whole(b"", "307 Temporary Redirect", location="/v1/x"), GARBLED, says="307", clean=True),
    failed("304", raw(head("304 Not Modified"), after=After.KEEP), GARBLED, says="304", clean=True),
    failed(
        "429 with a date", whole(b"{}", "429 Slow", retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), OVERLOADED, clean=True
    ),
    failed("429 without a body", whole(b"", "429 Slow", retry_after="7"), OVERLOADED, clean=True),
    failed("429 cut", raw(head("429 Slow", content_length="50"), b"{"), OVERLOADED),
    failed("429 with a long body", whole(b" " * (2 << 20), "429 Slow"), OVERLOADED),
    failed("500 without a body", whole(b"", "500 Oops"), FAILED, says="HTTP 500", clean=True),
    failed("500 with a trace", whole(b"Traceback", "500 Oops", content_type="text/plain"), FAILED, clean=True),
    failed(
        "502 of a proxy", whole(b"<html>nginx</html>", "502 Bad Gateway", content_type="text/html"), FAILED, clean=True
    ),
    failed("503 reset", raw(head("503 Busy", content_length="50"), b"{", after=After.RESET), FAILED),
    failed("529", whole(b"{}", "529 Overloaded"), FAILED, says="HTTP 529", clean=True),
    failed("400 not JSON", whole(b"\xff\x00", "400 Bad Request"), REFUSED, clean=True),
)

BODIES = (
    failed("200 without a body", whole(b""), GARBLED, clean=True),
    failed("200 with a number", whole(b"5"), GARBLED, clean=True),
    failed("200 with an error", whole(b'{"error": {"message": "boom"}}'), FAILED, says="boom", clean=True),
    failed("200 with an error in words", whole(b'{"error": "boom"}'), FAILED, says="boom", clean=True),
    failed(
        "200 with vLLM's error",
        whole(b'{"object": "error", "message": "boom", "code": 400}'),
        REFUSED,
        says="boom",
        clean=True,
    ),
    failed(
        "200 with an error of no size",
        whole(b'{"error": {"message": "x", "code": %b}}' % (b"9" * 5000)),
        FAILED,
        clean=True,
    ),
    failed("200 with a deep error", whole(b'{"error": %b%b}' % (b"[" * 9000, b"]" * 9000)), GARBLED, clean=True),
    failed("events that are called JSON", sent(*HELLO, DONE, content_type="application/json"), GARBLED, clean=True),
    failed(
        "lines of JSON",
        sent(b'{"message": {"content": "Hel"}}\n' * 2, content_type="application/x-ndjson"),
        GARBLED,
        clean=True,
    ),
    failed("a page", sent(b"<html><body>Sign in</body></html>", content_type="text/html"), GARBLED, clean=True),
    failed("compressed", sent(b"\x1f\x8b\x08", content_encoding="gzip"), GARBLED, says="compressed"),
    good("called uncompressed", sent(*HELLO, DONE, content_encoding="identity")),
    good(
        "of no type", raw(head(transfer_encoding="chunked"), framed(b"".join((*HELLO, DONE))), LAST, after=After.KEEP)
    ),
    good("of an odd type", sent(*HELLO, DONE, content_type="text event-stream;;")),
)

TABLE = {
    f"{kind}: {case.name}": case
    for kind, cases in (("end", ENDS), ("frames", FRAMES), ("status", STATUSES), ("body", BODIES))
    for case in cases
}


@pytest.mark.parametrize("name", TABLE)
async def test_whatever_http_brings_is_one_end(name: str, rig: Callable[[Case], Rig]) -> None:
    """Each cut, each breach of the protocol, each status has its name, its text and its charge."""
    await rig(TABLE[name]).must_be(TABLE[name])


@pytest.mark.parametrize("pause", [0.0, 0.05])
async def test_an_answer_that_nobody_asked_for_is_nobodys(pause: float, rig: Callable[[Case], Rig]) -> None:
    """A second answer after the first, at once or on the idle connection, is not the next request's."""
    stray = sent(event(chunk(content="stray", finish="stop")), DONE)
    case = good("stray", Wire((*sent(*HELLO, DONE).pieces, pause, stray.data)), clean=False)
    await replace(rig(case), idle=0.2).must_be(case)
