"""Streams of events as engines write them, and as networks split them: the text is whole, or its end has a name."""

import json
from collections.abc import Callable

import pytest

from tests.integration.inference.engines.misbehaving import (
    COUNTS,
    HEL,
    HELLO,
    LO,
    MEASURED,
    ROLE,
    STOP,
    Case,
    Rig,
    failed,
    good,
    partial,
)
from tests.support.engine_fake import DONE, chunk, event
from tests.support.engine_wire import After, Wire, sent

CUT, GARBLED, FAILED = "inference.engine_cut", "inference.engine_garbled", "inference.engine_failed"
OVERLOADED, REFUSED = "inference.engine_overloaded", "inference.engine_refused"
SMILE = "é \U0001f600 ok"
RAW = b"".join((event(json.dumps(chunk(content=SMILE), ensure_ascii=False).encode()), STOP, DONE))
ESCAPED = b"".join((event(json.dumps(chunk(content=SMILE)).encode()), STOP, DONE))
WHOLE = b"".join((*HELLO, COUNTS, DONE))
ERROR = {"error": {"message": "out of memory", "type": "server_error"}}


def in_bytes(stream: bytes) -> Wire:
    """A stream in HTTP chunks of one byte."""
    return sent(*(bytes([byte]) for byte in stream))


def said(*escapes: str, name: str = "content") -> list[bytes]:
    """One delta for each text, which is JSON as it stands."""
    return [event(b'{"choices":[{"delta":{"%b":"%b"}}]}' % (name.encode(), text.encode())) for text in escapes]


LINES = (
    good("a byte at a time", in_bytes(WHOLE), tokens=MEASURED),
    good("crlf, a byte at a time", in_bytes(WHOLE.replace(b"\n", b"\r\n")), tokens=MEASURED),
    good("cr alone, a byte at a time", in_bytes(WHOLE.replace(b"\n", b"\r")), tokens=MEASURED),
    good(
        "cr alone, no end of the body",
        sent(WHOLE.replace(b"\n", b"\r"), after=After.HANG),
        tokens=MEASURED,
        clean=False,
    ),
    good("utf-8, a byte at a time", in_bytes(RAW), SMILE),
    good("escapes, a byte at a time", in_bytes(ESCAPED), SMILE),
    good("comments between all lines", sent(WHOLE.replace(b"\n", b"\n: hm\n")), tokens=MEASURED),
    good(
        "ids, names and retries",
        sent(WHOLE.replace(b"data:", b"event: x\nid: 7\nretry: 5\nfoo: bar\ndata:")),
        tokens=MEASURED,
    ),
    good("data over many lines", sent(WHOLE.replace(b'{"', b'{\ndata: "')), tokens=MEASURED),
    good("no space after the colon", sent(WHOLE.replace(b"data: ", b"data:")), tokens=MEASURED),
    good("many blank lines", sent(b"\n\n\n", WHOLE.replace(b"\n\n", b"\n\n\n\n")), tokens=MEASURED),
    good("a byte order mark, split", sent(b"\xef", b"\xbb", b"\xbf", WHOLE), tokens=MEASURED),
    good("spaces around the mark", sent(*HELLO, b"data:   [DONE]  \n\n")),
    good("empty events", sent(b"data\n\n", HEL, b"data: \n\n", LO, b"data:\n\n", STOP, DONE)),
    good("a line of a megabyte", sent(b": " + b"x" * (1 << 20) + b"\n", *HELLO, DONE)),
    good("a text of a megabyte", sent(event(chunk(content="x" * (1 << 20))), STOP, DONE), "x" * (1 << 20)),
    failed("a line without end", sent(b"data: ", *(b"x" * (1 << 20) for _ in range(9)), after=After.HANG), GARBLED),
    failed(
        "an event without end", sent(*(b"data: %b\n" % (b"x" * (1 << 20)) for _ in range(9)), after=After.HANG), GARBLED
    ),
    failed("a comment without end", sent(b": ", *(b"x" * (1 << 20) for _ in range(9)), after=After.HANG), GARBLED),
)

ENDS = (
    good("nothing after the finish", sent(*HELLO)),
    good("nothing after the counts", sent(*HELLO, COUNTS), tokens=MEASURED),
    good("the mark without a blank line", sent(*HELLO, b"data: [DONE]")),
    good("the mark without a finish", sent(*HELLO[:3], DONE)),
    good("text after the mark", sent(*HELLO, DONE, event(chunk(content="more"))), clean=False),
    good("text after the mark, in one read", sent(b"".join((*HELLO, DONE, event(chunk(content="more")))))),
    good("counts after the mark are late", sent(*HELLO, DONE, COUNTS), clean=False),
    good("an error after the mark", sent(*HELLO, DONE, event(ERROR)), clean=False),
    good("garbage after the mark", sent(*HELLO, DONE, b"\xff\x00", after=After.CLOSE), clean=False),
    good("garbage after the finish", sent(*HELLO, b"data: \xff{\n\n", after=After.HANG), clean=False),
    good("half an event after the finish", sent(*HELLO, COUNTS[:40])),
    good("two marks", sent(*HELLO, DONE, DONE), clean=False),
    failed("only the mark", sent(DONE), GARBLED, says="without saying anything"),
    failed("no choice and the mark", sent(event({"choices": []}), DONE), GARBLED),
    failed("nothing", sent(), GARBLED, clean=True),
    failed("comments only", sent(b": hello\n\n"), GARBLED, clean=True),
)

BROKEN = (
    failed("not JSON", sent(b"data: hello\n\n", after=After.HANG), GARBLED),
    failed("binary", sent(bytes(range(256)) * 50), GARBLED, clean=True),
    partial("not JSON after text", sent(HEL, b"data: {nope}\n\n", after=After.HANG), GARBLED),
    partial("half an object after text", sent(HEL, b'data: {"choices": [\n\n', after=After.HANG), GARBLED),
    partial(
        "broken utf-8 after text",
        sent(HEL, b'data: {"choices":[{"delta":{"content":"\xe9"}}]}\n\n', after=After.HANG),
        GARBLED,
    ),
    partial("a number after text", sent(HEL, b"data: 5\n\n", after=After.HANG), GARBLED),
    partial("nesting after text", sent(HEL, b"data: " + b'{"x":' * 9999 + b"\n\n", after=After.HANG), GARBLED),
    partial(
        "more text than anybody writes",
        sent(HEL, *[event(chunk(content="x" * (1 << 20)))] * 17, after=After.HANG),
        GARBLED,
        "Hel" + "x" * (15 << 20),
    ),
)

ERRORS = (
    failed("an error first", sent(event(ERROR), DONE), FAILED, says="out of memory"),
    failed("an error in words", sent(event({"error": "out of memory"}), DONE), FAILED, says="out of memory"),
    failed("an error by name", sent(b"event: error\n" + event(ERROR), DONE), FAILED, says="out of memory"),
    failed(
        "a rate limit",
        sent(event({"error": {"message": "slow", "code": "rate_limit_exceeded"}})),
        OVERLOADED,
        says="slow",
    ),
    failed("a status as a number", sent(event({"error": {"message": "slow", "code": 429}})), OVERLOADED, says="slow"),
    failed("a code of no status", sent(event({"error": {"message": "x", "code": 50001}})), FAILED, says="x"),
    failed("a code in other digits", sent(event({"error": {"message": "x", "code": "٤٠٠"}})), FAILED, says="x"),
    failed(
        "vLLM's error",
        sent(event({"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}), DONE),
        REFUSED,
        says="bad",
    ),
    failed(
        "an error with halves", sent(b'data: {"error":{"message":"bad \\ud83d","code":400}}\n\n'), REFUSED, says="bad"
    ),
    partial("an error after text", sent(ROLE, HEL, event(ERROR), DONE), FAILED, says="out of memory"),
    partial(
        "vLLM's error after text", sent(HEL, event({"object": "error", "message": "gone", "code": 500}), DONE), FAILED
    ),
    partial(
        "an error beside text",
        sent(event(chunk(content="Hel") | {"x": 1}), event(chunk(content="lo") | ERROR), DONE),
        FAILED,
    ),
    partial("an error after the finish", sent(*HELLO, event(ERROR), DONE), FAILED, "Hello"),
    good("no error, said in every chunk", sent(*(event(json.loads(e[6:]) | {"error": None}) for e in HELLO), DONE)),
)

HALVES = (
    good("in one text", sent(*said(r"a\ud83d\ude00b"), DONE), "a\U0001f600b"),
    good("in two deltas", sent(*said(r"a\ud83d", r"\ude00b"), STOP, DONE), "a\U0001f600b"),
    good("in capitals", sent(*said(r"a\uD83D", r"\uDE00"), STOP, DONE), "a\U0001f600"),
    good("with an empty delta between", sent(*said(r"\ud83d", "", r"\ude00"), STOP, DONE), "\U0001f600"),
    good("twice in a row", sent(*said(r"\ud83d", r"\ude00\ud83d", r"\ude01"), STOP, DONE), "\U0001f600\U0001f601"),
    good("a high half at the end", sent(*said(r"a\ud83d"), STOP, DONE), "a\ufffd"),
    good("a high half, then the mark", sent(*said(r"a\ud83d"), DONE), "a\ufffd"),
    good("a high half before a letter", sent(*said(r"\ud83d", "a"), STOP, DONE), "\ufffda"),
    good("a high half before a line's end", sent(*said(r"\ud83d\n", r"\ude00"), STOP, DONE), "\ufffd\n\ufffd"),
    good("a low half first", sent(*said(r"\ude00a"), STOP, DONE), "\ufffda"),
    good("two high halves", sent(*said(r"\ud83d\ud83d", r"\ude00"), STOP, DONE), "\ufffd\U0001f600"),
    good("a backslash before", sent(*said(r"\\ud83d", r"\\\ud83d", r"\ude00"), STOP, DONE), "\\ud83d\\\U0001f600"),
    good(
        "per channel",
        sent(*said(r"\ud83d"), *said(r"\ud83d", name="reasoning"), *said(r"\ude00"), STOP, DONE),
        texts={"0/content": "\U0001f600", "0/reasoning": "\ufffd"},
    ),
    partial("before a cut", sent(HEL, *said(r"\ud83d"), after=After.CLOSE), CUT),
)

KINDS = {"lines": LINES, "ends": ENDS, "broken": BROKEN, "errors": ERRORS, "halves": HALVES}
TABLE = {f"{kind}: {case.name}": case for kind, cases in KINDS.items() for case in cases}


@pytest.mark.parametrize("name", TABLE)
async def test_whatever_events_come_the_text_is_whole_or_its_end_is_named(
    name: str, rig: Callable[[Case], Rig]
) -> None:
    """No splitting, no spelling and no error in mid-stream costs a character that was said."""
    await rig(TABLE[name]).must_be(TABLE[name])
