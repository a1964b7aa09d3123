"""A crowd of clients that remember what they were told."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.platform import Platform


@dataclass
class Told:
    """What the clients saw: request ids by how the answer ended for them."""

    answered: set[str] = field(default_factory=set)
    failed: dict[str, int] = field(default_factory=dict)
    """Request id → HTTP status, where the platform said no."""
    broken: int = 0
    slowest_refusal: float = 0.0
    """Seconds until the slowest 503."""


class Crowd:
    """Clients in threads, each asking again and again, half of them streaming."""

    def __init__(
        self,
        platform: Platform,
        clients: int = 8,
        model: str = "sim/fast",
        members: Mapping[str, Any] | None = None,
    ) -> None:
        """`members` are added to the body of each request."""
        self.url = f"{platform.info['base_url']}/v1/chat/completions"
        self.headers = {"authorization": f"Bearer {platform.info['api_key']}"}
        self.members, self.told, self._stop = {"model": model, **(members or {})}, Told(), threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask_on, args=(n,), daemon=True) for n in range(clients)]

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _ask_on(self, number: int) -> None:
        turn = 0
        with httpx.Client(timeout=40, headers=self.headers) as client:
            while not self._stop.is_set():
                turn += 1
                try:
                    self._ask(client, f"question {number}.{turn}", stream=number % 2 == 0)
                except httpx.HTTPError:
                    with self._lock:
                        self.told.broken += 1
                    time.sleep(0.05)

    def _ask(self, client: httpx.Client, question: str, *, stream: bool) -> None:
        body = {**self.members, "stream": stream, "messages": [{"role": "user", "content": question}]}
        began = time.monotonic()
        response = client.post(self.url, json=body)
        seconds = time.monotonic() - began
        request_id = response.headers.get("x-request-id", "")
        complete = response.text.rstrip().endswith("[DONE]") if stream else True
        with self._lock:
            if response.status_code == 200 and complete:
                self.told.answered.add(request_id)
            elif response.status_code != 200:
                self.told.failed[request_id] = response.status_code
                if response.status_code == 503:
                    self.told.slowest_refusal = max(self.told.slowest_refusal, seconds)
            else:
                self.told.broken += 1
        if response.status_code != 200:
            time.sleep(0.1)
