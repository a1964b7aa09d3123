"""Who takes part."""

from collections.abc import Callable
from dataclasses import dataclass, field

from measuring.processes import Listed
from measuring.tools import Load, load

WHOLE, STREAMING = "mock", "mock-20ms"
"""The models that each contestant serves: answered at once, and streamed with a token each 20 ms."""

TIMEOUT = ("-timeout", "180s")


@dataclass
class Contestant:
    """A running gateway in front of the mock engines."""

    name: str
    base_url: str
    api_key: str
    processes: Callable[[], Listed]
    """Every process of it by role, its bus and database included."""
    version: str
    sent: int = field(default=0, init=False)
    sent_tokens: int = field(default=0, init=False)

    def load(self, model: str, *options: str) -> Load:
        """Load it, and remember what was answered; one wrong answer is an error."""
        result = load(self.base_url, self.api_key, model, *options, *TIMEOUT)
        self.sent += result["requests"]
        self.sent_tokens += result["prompt_tokens"] + result["completion_tokens"]
        return result
