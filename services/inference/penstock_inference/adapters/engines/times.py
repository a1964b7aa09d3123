"""How long engines may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineTimes:
    """How long to wait for an engine, in seconds. The request's deadline bounds all of it."""

    connect: float = 5.0
    first_token: float = 60.0
    between_tokens: float = 30.0
