"""A real HTTP server that answers what a test says."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answers:
    """What is answered, and what was asked."""

    url: str
    status: int = 200
    body: bytes = b"{}"
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, path with query, authorization) of each request."""

    def json(self, content: Any, status: int = 200) -> None:
        """Answer with JSON from now on."""
        self.status, self.body = status, json.dumps(content).encode()


@contextmanager
def http_server() -> Iterator[Answers]:
    """A server on a free port of the loopback address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            answers.asked.append((self.command, self.path, self.headers.get("authorization", "")))
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(answers.status)
            self.send_header("content-length", str(len(answers.body)))
            self.end_headers()
            self.wfile.write(answers.body)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    answers = Answers(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
