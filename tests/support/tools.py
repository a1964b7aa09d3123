"""A real HTTP tool: answers by its path, and counts what it was asked to do."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """One request that arrived. Header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass
class Tool:
    """`/status/503`, `/echo`, `/bytes?n=…`, `/redirect?to=…`, `/loop`, `/slow?s=…`, `/gzip`, `/script`."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """What `/script` answers, one status a request; 200 at the end."""

    def at(self, path: str) -> list[Asked]:
        """What was asked of a path."""
        return [asked for asked in self.asked if urlsplit(asked.path).path == path]

    def keys(self, path: str, header: str = "idempotency-key") -> list[str]:
        """A header of each request to a path."""
        return [asked.headers.get(header, "") for asked in self.at(path)]


@contextmanager
def http_tool() -> Iterator[Tool]:
    """One, on a free port of the loopback address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            tool.asked.append(Asked(self.command, self.path, headers, self.rfile.read(length)))
            parts = urlsplit(self.path)
            given = {name: values[0] for name, values in parse_qs(parts.query).items()}
            with suppress(BrokenPipeError, ConnectionResetError):
                self.dispatch(parts.path, given)

        def dispatch(self, path: str, given: dict[str, str]) -> None:
            if path.startswith("/status/"):
                self.say(int(path.rpartition("/")[2]))
            elif path == "/script":
                self.say(tool.statuses.pop(0) if tool.statuses else 200)
            elif path == "/redirect":
                self.say(302, headers={"location": given["to"]})
            elif path == "/loop":
                self.say(302, headers={"location": "/loop"})
            elif path == "/gzip":
                self.say(200, b"\x1f\x8b", {"content-encoding": "gzip"})
            elif path == "/slow":
                time.sleep(float(given["s"]))
                self.say(200)
            elif path == "/bytes":
                self.flood(int(given["n"]))
            else:
                last = tool.asked[-1]
                self.say(200, json.dumps({"method": last.method, "path": path}).encode())

        def say(self, status: int, body: bytes = b"{}", headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"content-type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            body = b"" if status == 204 else body
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def flood(self, size: int) -> None:
            self.send_response(200)
            self.send_header("content-length", str(size))
            self.end_headers()
            for _ in range(size // 65_536):
                self.wfile.write(b"x" * 65_536)
            self.wfile.write(b"x" * (size % 65_536))

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    tool = Tool(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield tool
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
