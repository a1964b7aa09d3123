"""An answer stays whole whatever becomes of its connections; what asks again says it is the same request."""

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

from penstock.chatting import answer as answering
from penstock.chatting.answer import Answer, AnswerDiffers, AnswerFailed
from penstock.chatting.conversation import MOST, Conversation, chat_model, cuts_at_random, harmless
from penstock.client import ApiRefused
from penstock.platform.errors import PlatformError

WORDS = [f"word{number} " for number in range(40)]
WHOLE = "".join(WORDS)


def event(payload: Any) -> bytes:
    """One event of a stream."""
    return b"data: " + (payload if isinstance(payload, bytes) else json.dumps(payload).encode()) + b"\n\n"


def piece(text: str, finish: str | None = None) -> bytes:
    """A chunk with some text."""
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]})


END = piece("", "stop") + event({"choices": [], "usage": {"completion_tokens": 40}}) + event(b"[DONE]")


@dataclass
class Edge:
    """A server that gives the answers it was told to give, in order; the last one again and again."""

    answers: deque[tuple[int, Sequence[bytes]]]
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def serving(*answers: tuple[int, Sequence[bytes]]) -> Iterator[tuple[httpx.Client, Edge]]:
    """A client of that server."""
    edge = Edge(deque(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            edge.asked.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status, pieces = edge.answers[0] if len(edge.answers) == 1 else edge.answers.popleft()
            self.send_response(status)
            self.send_header("x-request-id", "r-1")
            self.end_headers()
            try:
                for data in pieces:
                    self.wfile.write(data)
                    self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):
                return

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
    monkeypatch.setattr(answering, "PAUSE", 0.01)
    monkeypatch.setattr(answering, "PATIENCE", 0.5)


def asked(client: httpx.Client) -> Answer:
    """A question."""
    return Answer(client, "m", [{"role": "user", "content": "Hello"}])


def whole(count: int = len(WORDS)) -> list[bytes]:
    """The first pieces of the answer."""
    return [piece(word) for word in WORDS[:count]]


def test_a_stream_that_breaks_off_is_asked_for_again() -> None:
    """By the same name and the same bytes; what was told is not told twice, and an error on the way is waited out."""
    answers = [(200, whole(7)), (200, whole(3)), (503, [b"{}"]), (200, whole(20)), (200, [*whole(), END])]
    with serving(*answers) as (client, edge):
        answer = asked(client)
        assert "".join(answer.pieces()) == WHOLE == answer.text
    assert (answer.finish_reason, answer.usage, answer.connections) == ("stop", {"completion_tokens": 40}, 5)
    assert len({headers["idempotency-key"] for headers, _ in edge.asked}) == 1
    assert len({body for _, body in edge.asked}) == 1
    assert {headers["x-penstock-on-disconnect"] for headers, _ in edge.asked} == {"continue"}


def test_pieces_may_be_cut_elsewhere_when_they_come_again() -> None:
    """Only the text counts."""
    again = [piece(WHOLE[start : start + 11]) for start in range(0, len(WHOLE), 11)]
    with serving((200, whole(7)), (200, [*again, END])) as (client, _):
        assert "".join(asked(client).pieces()) == WHOLE


def test_any_character_may_stand_in_a_text() -> None:
    """Also those that some take for the end of a line, and those that a packet tears apart."""
    text = "one\u2028two\x85three\x0bfour\x1dfive\r\nsix 🚰"
    raw = json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}, ensure_ascii=False).encode()
    data = event(raw)
    with serving((200, [data[:-9], data[-9:], END])) as (client, _):
        assert "".join(asked(client).pieces()) == text


def test_a_flaky_connection_gets_on() -> None:
    """Each connection brings something new, so it ends; a cut may fall into the middle of a piece."""
    with serving((200, [*whole(), END])) as (client, edge):
        answer = asked(client)
        answer.cuts_after = cuts_at_random
        assert "".join(answer.pieces()) == WHOLE
    assert len(edge.asked) == answer.connections > len(WHOLE) / MOST


def test_a_connection_may_bring_a_single_character() -> None:
    """The worst one that gets on."""
    with serving((200, [*whole(3), END])) as (client, edge):
        answer = asked(client)
        answer.cuts_after = lambda: 1
        assert list(answer.pieces()) == list("".join(WORDS[:3]))
    assert len(edge.asked) == len("".join(WORDS[:3])) + 1


def test_another_text_is_not_passed_off_as_the_rest() -> None:
    """What was told before is not its beginning."""
    other = [piece("something else"), END]
    with serving((200, whole(2)), (200, other)) as (client, _), pytest.raises(AnswerDiffers):
        list(asked(client).pieces())


def test_an_error_in_the_stream_is_said() -> None:
    """In the platform's words."""
    broken = [*whole(2), event({"error": {"message": "The engine was lost.", "code": "inference.engine_cut"}})]
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


def test_a_server_that_never_ends_its_stream_is_given_up() -> None:
    """After a while without anything new."""
    with serving((200, whole(2))) as (client, _), pytest.raises(AnswerFailed, match="without its end mark"):
        list(asked(client).pieces())


def test_a_server_that_is_away_is_said_at_once() -> None:
    """Nothing was accepted."""
    with serving((200, [])) as (client, _):
        pass
    gone = httpx.Client(base_url=client.base_url, trust_env=False)
    with pytest.raises(AnswerFailed, match="connection was lost"):
        list(asked(gone).pieces())


def test_a_stop_names_the_request_and_leaves() -> None:
    """Whoever leaves last decides what becomes of it."""
    with serving((200, [*whole(), END])) as (client, edge):
        answer = asked(client)
        assert next(answer.pieces()) == WORDS[0]
        answer.stop()
    (first, body), (last, same) = edge.asked
    assert (last["idempotency-key"], same) == (first["idempotency-key"], body)
    assert last["x-penstock-on-disconnect"] == "cancel"


def test_a_conversation_tells_what_was_said() -> None:
    """The system's word first, then each turn; an answer that broke off counts as far as it came."""
    with serving((200, [piece("One."), END]), (200, [piece("Tw"), event({"error": {"message": "no"}})])) as (client, e):
        conversation = Conversation(client, "m", "Be brief.")
        conversation.ask("first", lambda _: None)
        with pytest.raises(AnswerFailed):
            conversation.ask("second", lambda _: None)
    told = [message["content"] for message in json.loads(e.asked[1][1])["messages"]]
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
