"""Chunks as engines really send them: counts anywhere or nowhere, several choices, tool calls in any pieces."""

from collections.abc import Callable
from typing import Any

import pytest

from penstock_common.contracts.generation import Tokens
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
from tests.support.engine_fake import DONE, chunk, event, usage_chunk
from tests.support.engine_wire import After, sent

CUT, GARBLED, LATE = "inference.engine_cut", "inference.engine_garbled", "inference.engine_timeout"
TWO: dict[str, Any] = {"asked": {"n": 2}}
BOTH: dict[str, Any] = TWO | {"texts": {"0/content": "Hello", "1/content": "World"}}
FINISHES = {0: "stop", 1: "length"}


def counted(number: int, **delta: Any) -> bytes:
    """A chunk with a running count."""
    return event(chunk(usage={"prompt_tokens": 9, "completion_tokens": number}, **delta))


def of(choice: int, finish: str | None = None, **delta: Any) -> bytes:
    """A chunk of one of several choices."""
    return event(chunk(choice, finish, **delta))


def together(*choices: bytes) -> bytes:
    """One chunk with the choices of several."""
    inner = b",".join(choice[choice.index(b"[") + 1 : choice.rindex(b"]")] for choice in choices)
    return b'data: {"choices":[%b]}\n\n' % inner


COUNTING = (
    good("after the finish", sent(*HELLO, COUNTS, DONE), tokens=MEASURED),
    good("with the finish", sent(HEL, LO, counted(2, finish="stop"), DONE), tokens=MEASURED),
    good("in every chunk", sent(counted(1, content="Hel"), counted(2, content="lo"), STOP, DONE), tokens=MEASURED),
    good(
        "in every chunk, then at the end",
        sent(counted(1, content="Hel"), counted(2, content="lo"), STOP, event(usage_chunk(9, 3)), DONE),
        tokens=Tokens(9, 3),
    ),
    good("before the text", sent(event(usage_chunk(9, 1)), *HELLO, COUNTS, DONE), tokens=MEASURED),
    good("nowhere", sent(*HELLO, DONE)),
    good("null", sent(*HELLO, event(chunk() | {"usage": None}), DONE)),
    good(
        "null, then given", sent(event(chunk(content="Hello") | {"usage": None}), STOP, COUNTS, DONE), tokens=MEASURED
    ),
    good("empty", sent(*HELLO, event({"choices": [], "usage": {}}), DONE)),
    good(
        "without choices",
        sent(*HELLO, event({"usage": {"prompt_tokens": 9, "completion_tokens": 2}}), DONE),
        tokens=MEASURED,
    ),
    good("of nothing", sent(*HELLO, event(usage_chunk(9, 0)), DONE)),
    good("in words", sent(*HELLO, event({"choices": [], "usage": "two"}), DONE)),
    good(
        "a fraction",
        sent(*HELLO, event(usage_chunk(9, 2) | {"usage": {"prompt_tokens": 9.0, "completion_tokens": 2.0}}), DONE),
    ),
    good("beyond belief", sent(*HELLO, event(usage_chunk(1 << 40, 2)), DONE)),
    good("unreadable", sent(*HELLO, b'data: {"choices":{},"usage":5}\n\n', DONE)),
    partial("only before a cut", sent(counted(1, content="Hel"), after=After.CLOSE), CUT),
)

CHOICES = (
    good("none at first", sent(event({"choices": []}), *HELLO, DONE)),
    good(
        "none, null and absent between",
        sent(HEL, event({"choices": []}), event({"choices": None}), event({"id": "x"}), LO, STOP, DONE),
    ),
    good(
        "no delta",
        sent(
            HEL, event({"choices": [{"index": 0}]}), event({"choices": [{"index": 0, "delta": None}]}), LO, STOP, DONE
        ),
    ),
    good(
        "a message in place of a delta",
        sent(event({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}), DONE),
    ),
    good("null content", sent(event(chunk(content=None)), *HELLO, DONE)),
    good("unknown fields", sent(event(chunk(content="Hel", x=[1]) | {"y": {"z": 1}}), LO, STOP, DONE)),
    good("no index", sent(b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n', STOP, DONE)),
    good("an empty finish", sent(event(chunk(content="Hel", finish="")), LO, STOP, DONE)),
    good("finishes twice", sent(*HELLO, STOP, DONE)),
    good("finishes twice, for another reason", sent(*HELLO, event(chunk(finish="length")), DONE)),
    good("text after the finish", sent(HEL, STOP, LO, DONE)),
    good("finishes for its length", sent(HEL, LO, event(chunk(finish="length")), DONE), finish={0: "length"}),
    good("finishes without a word", sent(ROLE, STOP, COUNTS, DONE), texts={}, tokens=MEASURED),
    good("a role in every chunk", sent(*(event(chunk(role="assistant", content=c)) for c in "Hello"), STOP, DONE)),
    good(
        "two at once",
        sent(
            of(0, content="Hel"),
            of(1, content="Wor"),
            of(0, content="lo"),
            of(1, content="ld"),
            of(1, "length"),
            of(0, "stop"),
            DONE,
        ),
        finish=FINISHES,
        **BOTH,
    ),
    good(
        "two in one chunk",
        sent(together(of(0, content="Hello"), of(1, content="World")), together(of(0, "stop"), of(1, "length")), DONE),
        finish=FINISHES,
        **BOTH,
    ),
    good(
        "two, one after the other", sent(*HELLO, of(1, content="World"), of(1, "length"), DONE), finish=FINISHES, **BOTH
    ),
    good("the second first", sent(of(1, content="World"), of(1, "length"), *HELLO, DONE), finish=FINISHES, **BOTH),
    good(
        "one never finishes, and the mark",
        sent(*HELLO, of(1, content="World"), DONE),
        finish={0: "stop", 1: "stop"},
        **BOTH,
    ),
    partial("one never finishes, and no mark", sent(*HELLO, of(1, content="World")), CUT, clean=True, **BOTH),
    partial(
        "one never finishes, and silence",
        sent(*HELLO, of(1, content="World"), after=After.HANG),
        LATE,
        hasty=True,
        **BOTH,
    ),
    good("one never begins", sent(*HELLO, DONE), **TWO),
    good(
        "one more than asked for",
        sent(of(0, content="Hello"), of(1, content="World"), together(of(0, "stop"), of(1, "length")), DONE),
        finish=FINISHES,
        texts=BOTH["texts"],
    ),
    failed("an index below all", sent(of(-1, content="x"), after=After.HANG), GARBLED),
    failed("an index beyond all", sent(of(128, content="x"), after=After.HANG), GARBLED),
    failed("an index in words", sent(b'data: {"choices":[{"index":"0"}]}\n\n', after=After.HANG), GARBLED),
)


def part(index: int | None = 0, *, choice: int = 0, **given: Any) -> bytes:
    """A piece of a tool call."""
    function = {key: given[key] for key in ("name", "arguments") if key in given}
    call = ({} if index is None else {"index": index}) | ({"id": given["id"]} if "id" in given else {})
    return of(choice, tool_calls=[call | ({"function": function} if function else {})])


LOOK = ((0, 0, "a", "look"),)
ARGUMENTS = '{"q":"caf\\u00e9 \\ud83d\\ude00 \\"x\\""}'
CALLED = of(0, "tool_calls")
END = (CALLED, DONE)


def called(name: str, *pieces: bytes, **more: Any) -> Case:
    """A call of `look` with no arguments but `{}`, unless told otherwise."""
    given: dict[str, Any] = {"texts": {"0/tool.0": "{}"}, "calls": LOOK, "finish": {0: "tool_calls"}}
    return Case(name=name, wire=sent(*pieces, *END), **given | more)


def of_two(name: str, *pieces: bytes, **more: Any) -> Case:
    """Two calls."""
    texts, calls = {"0/tool.0": "[1]", "0/tool.1": "[2]"}, ((0, 0, "a", "one"), (0, 1, "b", "two"))
    return called(name, *pieces, **{"texts": texts, "calls": calls} | more)


TOOLS = (
    called("whole", part(id="a", name="look", arguments="{}")),
    called("id, name and arguments apart", part(id="a"), part(name="look"), part(arguments="{}")),
    called("name before id", part(name="look"), part(id="a"), part(arguments="{}")),
    called(
        "name in letters", part(id="a"), *(part(name=letter) for letter in "lo"), part(name="ok"), part(arguments="{}")
    ),
    called("id and name in every piece", *(part(id="a", name="look", arguments=c) for c in "{}")),
    called(
        "arguments in letters",
        part(id="a", name="look"),
        *(part(arguments=c) for c in ARGUMENTS),
        texts={"0/tool.0": ARGUMENTS},
    ),
    called("arguments null, then given", part(id="a", name="look", arguments=None), part(arguments="{}")),
    called(
        "arguments empty, then given", part(id="a", name="look", arguments=""), part(arguments=""), part(arguments="{}")
    ),
    called("arguments as an object", part(id="a", name="look", arguments={})),
    called(
        "arguments cut in a pair",
        part(id="a", name="look"),
        b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\\ud83d"}}]}}]}\n\n',
        b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\\ude00"}}]}}]}\n\n',
        texts={"0/tool.0": "\U0001f600"},
    ),
    called("no index", part(None, id="a", name="look", arguments="{"), part(None, arguments="}")),
    called(
        "no index, and the id again", part(None, id="a", name="look", arguments="{"), part(None, id="a", arguments="}")
    ),
    called("no arguments", part(id="a", name="look"), texts={}),
    called(
        "text before",
        of(0, content="Hm."),
        part(id="a", name="look", arguments="{}"),
        texts={"0/content": "Hm.", "0/tool.0": "{}"},
    ),
    called(
        "an empty list of calls",
        of(0, tool_calls=[]),
        of(0, tool_calls=None),
        part(id="a", name="look", arguments="{}"),
    ),
    of_two(
        "by index, interleaved",
        part(0, id="a", name="one"),
        part(1, id="b", name="two"),
        part(0, arguments="[1"),
        part(1, arguments="[2"),
        part(0, arguments="]"),
        part(1, arguments="]"),
    ),
    of_two(
        "by id alone", part(None, id="a", name="one", arguments="[1]"), part(None, id="b", name="two", arguments="[2]")
    ),
    of_two(
        "by id, interleaved",
        part(None, id="a", name="one", arguments="["),
        part(None, id="b", name="two", arguments="["),
        part(None, id="a", arguments="1]"),
        part(None, id="b", arguments="2]"),
    ),
    of_two(
        "all at index 0", part(0, id="a", name="one", arguments="[1]"), part(0, id="b", name="two", arguments="[2]")
    ),
    of_two(
        "both in one chunk",
        of(
            0,
            tool_calls=[
                {"index": i, "id": "ab"[i], "function": {"name": ("one", "two")[i], "arguments": f"[{i + 1}]"}}
                for i in (0, 1)
            ],
        ),
    ),
    Case(
        name="in two choices",
        wire=sent(
            part(0, id="a", name="look", arguments="[1"),
            part(0, choice=1, id="b", name="look", arguments="[2"),
            part(0, arguments="]"),
            part(0, choice=1, arguments="]"),
            CALLED,
            of(1, "tool_calls"),
            DONE,
        ),
        texts={"0/tool.0": "[1]", "1/tool.0": "[2]"},
        calls=((0, 0, "a", "look"), (1, 0, "b", "look")),
        finish={0: "tool_calls", 1: "tool_calls"},
        **TWO,
    ),
    partial(
        "cut in the arguments",
        sent(part(id="a", name="look", arguments='{"q":"caf\\u0'), after=After.CLOSE),
        CUT,
        texts={"0/tool.0": '{"q":"caf\\u0'},
        calls=LOOK,
    ),
    failed("an index beyond all", sent(part(128, id="a", name="look"), after=After.HANG), GARBLED),
    failed("an index below all", sent(part(-1, id="a", name="look"), after=After.HANG), GARBLED),
    failed("a call that is none", sent(of(0, tool_calls=["look"]), after=After.HANG), GARBLED),
)

KINDS = {"counts": COUNTING, "choices": CHOICES, "tools": TOOLS}
TABLE = {f"{kind}: {case.name}": case for kind, cases in KINDS.items() for case in cases}


@pytest.mark.parametrize("name", TABLE)
async def test_whatever_chunks_say_is_told_once_and_charged(name: str, rig: Callable[[Case], Rig]) -> None:
    """Choices, calls and counts stay apart, come whole, and are the engine's own wherever it gives them."""
    await rig(TABLE[name]).must_be(TABLE[name])
