"""An answer stays whole whatever becomes of its connections; who reads on says where."""

import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from penstock.chatting import stream as streaming
from penstock.chatting.answer import Answer, AnswerFailed
from penstock.chatting.conversation import Conversation, chat_model, cuts_at_random, harmless
from penstock.client import ApiRefused
from penstock.platform.errors import PlatformError

WORDS = [f"word{number} " for number in range(40)]
WHOLE = "".join(WORDS)


def event(payload: Any, id_: str = "1:end") -> bytes:
    """One event of a stream."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return b"id: %s\ndata: %s\n\n" % (id_.encode(), data)


def piece(text: str, finish: str | None = None, id_: str = "1:end") -> bytes:
    """A chunk with some text."""
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}, id_)


def whole(start: int = 0, end: int = len(WORDS)) -> list[bytes]:
    """Pieces of the answer; the id of each says how many words its reader has."""
    return [piece(word, id_=f"1:{number}") for number, word in enumerate(WORDS[start:end], start + 1)]


ENDS = [piece("", "stop"), event({"choices": [], "usage": {"completion_tokens": 40}}), event(b"[DONE]")]
END = b"".join(ENDS)


@dataclass
class Asked:
    """What a client sent."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def after(self) -> str | None:
        """Where it wants to read on."""
        return self.headers.get("last-event-id")


@dataclass
class Edge:
    """A server that gives the answers it was told to give, in order; the last one again and again. 0 is no answer."""

    answers: deque[tuple[int, Sequence[bytes]]]
    asked: list[Asked] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """Method and path of each request."""
        return [asked.line for asked in self.asked]


@contextmanager
def serving(*answers: tuple[int, Sequence[bytes]]) -> Iterator[tuple[httpx.Client, Edge]]:
    """A client of that server."""
    edge = Edge(deque(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            edge.asked.append(Asked(f"{self.command} {self.path}", headers, body))
            status, pieces = edge.answers[0] if len(edge.answers) == 1 else edge.answers.popleft()
            if not status:
                return
            self.send_response(status)
            self.send_header("x-request-id", "r-1")
            self.end_headers()
            try:
                for data in pieces:
                    self.wfile.write(data)
                    self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):
                return

        do_POST = do_DELETE = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", trust_env=False, timeout=5) as client:
            yield client, edge
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for half a minute."""
    monkeypatch.setattr(streaming, "PAUSE", 0.01)
    monkeypatch.setattr(streaming, "PATIENCE", 0.5)


def asked(client: httpx.Client) -> Answer:
    """A question."""
    return Answer(client, "m", [{"role": "user", "content": "Hello"}])


POST, GET, DELETE = "POST /v1/chat/completions", "GET /api/v1/inference/r-1/stream", "DELETE /api/v1/inference/r-1"


def test_a_stream_that_breaks_off_is_read_on() -> None:
    """After the last event that came whole; an error on the way is waited out."""
    answers = [(200, whole(0, 7)), (200, [*whole(7, 9), b"id: 1:10\ndata: {"]), (503, [b"{}"]), (200, [*whole(9), END])]
    with serving(*answers) as (client, edge):
        answer = asked(client)
        assert "".join(answer.pieces()) == WHOLE == answer.text
    assert (answer.finish_reason, answer.usage, answer.cuts) == ("stop", {"completion_tokens": 40}, 3)
    assert edge.lines == [POST, GET, GET, GET]
    assert [asked.after for asked in edge.asked] == [None, "1:7", "1:9", "1:9"]
    assert edge.asked[0].headers["x-penstock-on-disconnect"] == "continue"


def test_an_answer_that_was_read_to_its_end_is_not_read_again() -> None:
    """Only its end mark was lost."""
    with serving((200, whole()), (204, [])) as (client, edge):
        assert "".join(asked(client).pieces()) == WHOLE
    assert edge.lines == [POST, GET]


def test_a_request_without_an_id_is_asked_for_again_by_its_name() -> None:
    """Where nobody knows the id, either: whoever took the request died before it could tell."""
    answers: list[tuple[int, list[bytes]]] = [(0, []), (200, []), (404, [b"{}"]), (200, [*whole(), END])]
    with serving(*answers) as (client, edge):
        assert "".join(asked(client).pieces()) == WHOLE
    assert edge.lines == [POST, POST, GET, POST]
    names = [asked.headers.get("idempotency-key") for asked in edge.asked]
    assert len({*names, None}) == 2
    assert len({asked.body for asked in edge.asked if asked.line == POST}) == 1


def test_any_character_may_stand_in_a_text() -> None:
    """Also those that some take for the end of a line, and those that a packet tears apart."""
    text = "one\u2028two\x85three\x0bfour\x1dfive\r\nsix 🚰"
    raw = json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}, ensure_ascii=False).encode()
    data = event(raw)
    with serving((200, [data[:-9], data[-9:], END])) as (client, _):
        assert "".join(asked(client).pieces()) == text


def test_a_flaky_connection_gets_on() -> None:
    """Each connection brings an event at least; a cut mostly falls into the middle of one."""
    events = [*whole(), *ENDS]
    with serving(*[(200, events[start:]) for start in range(len(events))]) as (client, edge):
        answer = Answer(client, "m", [{"role": "user", "content": "Hello"}], cuts_after=lambda: 5)
        assert "".join(answer.pieces()) == WHOLE
    assert [asked.after for asked in edge.asked[:4]] == [None, "1:1", "1:2", "1:3"]
    assert answer.cuts == len(events) - 1
    assert {cuts_at_random() for _ in range(1000)} == set(range(4, 15))


def test_an_error_in_the_stream_is_said() -> None:
    """In the platform's words."""
    broken = [*whole(0, 2), event({"error": {"message": "The engine was lost.", "code": "inference.engine_cut"}})]
    with serving((200, broken)) as (client, edge), pytest.raises(AnswerFailed, match=r"The engine was lost\."):
        list(asked(client).pieces())
    assert len(edge.asked) == 1


@pytest.mark.parametrize("status", [401, 404, 429, 503])
def test_a_refusal_is_said_at_once(status: int) -> None:
    """There is no answer yet that could be lost."""
    said = json.dumps({"error": {"message": "Not so."}}).encode()
    with serving((status, [said])) as (client, edge), pytest.raises(ApiRefused, match=r"Not so\."):
        list(asked(client).pieces())
    assert len(edge.asked) == 1


def test_a_stream_that_can_be_read_no_more_is_given_up() -> None:
    """With the sentence of the problem document."""
    gone = json.dumps({"detail": "The stream can be taken up no more."}).encode()
    with serving((200, whole(0, 2)), (410, [gone])) as (client, edge), pytest.raises(ApiRefused, match="no more"):
        list(asked(client).pieces())
    assert edge.lines == [POST, GET]


def test_a_server_that_never_ends_its_stream_is_given_up() -> None:
    """After a while without anything new."""
    with serving((200, whole(0, 2)), (200, [])) as (client, _), pytest.raises(AnswerFailed, match="without its end"):
        list(asked(client).pieces())


def test_a_server_that_is_away_is_said_at_once() -> None:
    """Nothing was accepted."""
    with serving((200, [])) as (client, _):
        pass
    gone = httpx.Client(base_url=client.base_url, trust_env=False)
    with pytest.raises(AnswerFailed, match="connection was lost"):
        list(asked(gone).pieces())


def test_a_stop_gives_what_there_is() -> None:
    """It names the request; the rest of the text and how it ended come after it."""
    rest = [*whole(1, 3), piece("", "cancelled"), event(b"[DONE]")]
    with serving((200, [*whole(), END]), (202, [b"{}"]), (200, rest)) as (client, edge):
        answer = asked(client)
        assert next(answer.pieces()) == WORDS[0]
        assert list(answer.stop()) == WORDS[1:3]
    assert (answer.finish_reason, answer.text) == ("cancelled", "".join(WORDS[:3]))
    assert edge.lines == [POST, DELETE, GET]
    assert edge.asked[2].after == "1:1"


def test_a_stop_before_the_answer_has_an_id_learns_it() -> None:
    """The request's name finds it, or makes one that is stopped before it says much."""
    with serving((200, []), (200, [b"{}"]), (200, [piece("", "cancelled"), event(b"[DONE]")])) as (client, edge):
        answer = asked(client)
        assert list(answer.stop()) == []
    assert answer.finish_reason == "cancelled"
    assert edge.lines == [POST, DELETE, GET]


def test_a_stop_that_fails_says_so() -> None:
    """The generation may go on."""
    answers: list[tuple[int, list[bytes]]] = [(200, whole(0, 1)), (503, [b'{"detail": "Later."}']), (0, [])]
    with serving(*answers) as (client, _):
        answer = asked(client)
        next(answer.pieces())
        with pytest.raises(ApiRefused, match="Later"):
            answer.stop()
        with pytest.raises(AnswerFailed, match="could not be stopped"):
            answer.stop()


def test_a_conversation_tells_what_was_said() -> None:
    """The system's word first, then each turn; an answer that broke off counts as far as it came."""
    with serving((200, [piece("One."), END]), (200, [piece("Tw"), event({"error": {"message": "no"}})])) as (client, e):
        conversation = Conversation(client, "m", "Be brief.")
        conversation.ask("first", lambda _: None)
        with pytest.raises(AnswerFailed):
            conversation.ask("second", lambda _: None)
    told = [message["content"] for message in json.loads(e.asked[1].body)["messages"]]
    assert told == ["Be brief.", "first", "One.", "second"]
    assert [m["content"] for m in conversation.messages] == ["Be brief.", "first", "One.", "second", "Tw"]


def test_a_terminal_gets_no_commands() -> None:
    """Text stays as it is."""
    assert harmless("a\x1b[2Jb\x07\x9b5n\tc\n🚰é") == "a[2Jb5n\tc\n🚰é"


def test_a_real_model_is_preferred() -> None:
    """One that only embeds does not chat."""
    embeds = {"name": "e", "capabilities": ["embeddings"], "simulated": False}
    made_up = {"name": "sim/fast", "capabilities": ["chat"], "simulated": True}
    real = {"name": "real", "capabilities": ["chat", "stream"], "simulated": False}
    assert chat_model([embeds, made_up, real]) == "real"
    assert chat_model([embeds, made_up]) == "sim/fast"
    with pytest.raises(PlatformError, match="models add"):
        chat_model([embeds])
