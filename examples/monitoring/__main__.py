"""Monitoring: a schedule probes a site, a model judges it, an alert is raised after two failures and cleared later."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from standardwebhooks import Webhook

from examples.platform import options, platform, script_for

HERE = Path(__file__).parent
SECRET = "whsec_bW9uaXRvcmluZy1leGFtcGxlLXNlY3JldC0wMQ=="  # the one in task.yaml
SCRIPT = (
    'sim: if HTTP 5: say {"up": false, "why": "It answers with an error."}',
    'sim: if maintenance: say {"up": false, "why": "It is being worked on."}',
    'sim: say {"up": true}',
)


@dataclass
class Town:
    """A site that can be broken, and somebody who takes alerts."""

    url: str
    status: int = 200
    alerts: list[str] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, alert: str, seconds: float) -> None:
        """Return when the newest alert is this one."""
        with self.arrived:
            if not self.arrived.wait_for(lambda: self.alerts[-1:] == [alert], seconds):
                raise SystemExit(f"no {alert} within {seconds:g} s; alerts so far: {self.alerts}")


@contextmanager
def town() -> Iterator[Town]:
    """`GET /` is the site, `POST /alerts` takes alerts whose signature is right."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(there.status, b"Welcome to the town hall." if there.status < 400 else b"Out of order.")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            Webhook(SECRET).verify(body, dict(self.headers.items()))
            with there.arrived:
                there.alerts.append(json.loads(body)["type"])
                there.arrived.notify_all()
            self.answer(204, b"")

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    there = Town(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield there
    finally:
        server.shutdown()


def main() -> None:
    """Break the site, wait for the alert; mend it, wait for the all-clear."""
    parser = options(__doc__ or "")
    parser.add_argument("--every", default="5s", help="how often the site is probed; a real one: 1m")
    parser.add_argument("--patience", type=float, default=120, help="seconds to wait for each alert")
    given = parser.parse_args()
    with platform(given) as penstock, town() as there:
        watched = {"url": f"{there.url}/", "alerts": f"{there.url}/alerts", "model": given.model}
        watched["script"] = script_for(given.model, *SCRIPT)
        penstock("tasks", "apply", str(HERE / "task.yaml"), "--name", "watch-site")
        schedule = ("--task", "watch-site", "--every", given.every, "--input", json.dumps(watched))
        penstock("schedules", "add", "town-hall", *schedule)
        print("\nThe site breaks.", flush=True)
        there.status, broken = 503, time.monotonic()
        there.wait_for("site.down", given.patience)
        print(f"Alert after {time.monotonic() - broken:.0f} s: {there.alerts}\n\nThe site is mended.", flush=True)
        there.status = 200
        there.wait_for("site.up", given.patience)
        penstock("runs", "ls", "--limit", "6")
    print(f"\nOne alert, one all-clear: {there.alerts}")


if __name__ == "__main__":
    main()
