"""Server-sent events mean the same however their bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_inference.adapters.engines import sse
from penstock_inference.adapters.engines.sse import SseParser, SseTooLarge

OTHER = [b"", b":", b": a comment", b"id: 4", b"event: x", b"retry: 5", b"data", b"data:", b"nonsense"]
TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))
BINARY = st.binary(max_size=20).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b""))
LINE = st.sampled_from(OTHER) | TEXT.map(lambda t: b"data: " + t.encode()) | BINARY.map(lambda b: b"data:" + b)
LINES = st.lists(LINE, max_size=12)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def parsed(*chunks: bytes) -> list[bytes]:
    """All events of a stream that arrives in these chunks."""
    parser = SseParser()
    return [data for chunk in chunks for data in parser.feed(chunk)] + parser.finish()


def expected(lines: list[bytes]) -> list[bytes]:
    """The events of whole lines, read plainly."""
    events: list[bytes] = []
    data: list[bytes] = []
    for line in [*lines, b""]:
        name, _, value = line.partition(b":")
        if not line:
            events += [b"\n".join(data)] if data else []
            data = []
        elif name == b"data":
            data.append(value[1:] if value.startswith(b" ") else value)
    return events


@given(LINES, st.data())
def test_any_split_gives_the_same_events(lines: list[bytes], draw: st.DataObject) -> None:
    """Lines may end in three ways, mixed, and the bytes may be cut anywhere, even within a character or a CRLF."""
    ends = draw.draw(st.lists(ENDS, min_size=len(lines), max_size=len(lines)))
    stream = b"".join(line + end for line, end in zip(lines, ends, strict=True))
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    # A bare CR before a bare LF is one CRLF, whoever meant two line ends: join them as any reader does.
    whole = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    assert parsed(*pieces) == parsed(stream) == expected(whole)


@given(st.lists(TEXT, min_size=1))
def test_bytes_one_by_one(texts: list[str]) -> None:
    """The smallest pieces there are."""
    stream = "".join(f"data: {text}\n\n" for text in texts).encode()
    assert parsed(*(bytes([byte]) for byte in stream)) == [text.encode() for text in texts]


def test_a_byte_order_mark_is_no_text() -> None:
    """At the beginning it is dropped, elsewhere it is part of the line."""
    assert parsed(b"\xef", b"\xbb\xbfdata: x\n\n\xef\xbb\xbfdata: y\n\n") == [b"x"]


@pytest.mark.parametrize("line", [b"data: " + b"x" * 100, b"data: x\n" * 20])
def test_sizes_are_bounded(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a line nor an event grows without end."""
    monkeypatch.setattr(sse, "MAX_EVENT", 16)
    with pytest.raises(SseTooLarge):
        parsed(*(line[at : at + 4] for at in range(0, len(line), 4)))


WHOLE_EVENTS = [
    b"data: a\n\ndata: b\n\n",
    b"data: a\ndata: b\n\n",
    b"data: a\n\n\ndata: b\n\n",
    b"data: a\n\n\n",
    b"data:a\n\ndata: b\n\n",
    b": c\n\ndata: a\n\n",
    b"data: \n\ndata:  a\n\n",
    b"data: a\r\n\r\ndata: b\n\n",
    b"id: 1\ndata: a\n\n",
    b"\n\n",
]


@pytest.mark.parametrize("chunk", WHOLE_EVENTS)
@pytest.mark.parametrize("before", [b": x\n", b": x\r", b"data: y\n", b"data: y", b"\xef\xbb\xbf", b""])
def test_whole_events_in_one_read_mean_what_their_bytes_mean(before: bytes, chunk: bytes) -> None:
    """Whatever came before them, and twice in a row."""
    stream = before + chunk + chunk
    assert parsed(before, chunk, chunk) == parsed(*(bytes([byte]) for byte in stream))
