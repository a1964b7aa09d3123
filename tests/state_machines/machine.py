"""What all machines have: an event loop of their own, and how far they walk."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine

T = TypeVar("T")

EXAMPLES = "PENSTOCK_PROOF_EXAMPLES"
FEW = 20
"""Walks of one machine where nobody asks for more."""
STEPS = 25
SHRUNK = (Phase.explicit, Phase.generate, Phase.shrink)


def walks() -> settings:
    """As many new walks as PENSTOCK_PROOF_EXAMPLES says, or the few that are always made."""
    if wanted := os.environ.get(EXAMPLES):
        return settings(few(), max_examples=int(wanted), derandomize=False, phases=SHRUNK)
    return settings(few(), phases=SHRUNK)


def few() -> settings:
    """Always the same, and the first that fails is told of as it is."""
    return settings(
        max_examples=FEW,
        stateful_step_count=STEPS,
        derandomize=True,
        print_blob=True,
        database=None,
        deadline=None,
        phases=SHRUNK[:-1],
        suppress_health_check=list(HealthCheck),
    )


class Machine(RuleBasedStateMachine):
    """One walk. Its end is checked too, whatever the last step was."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self.run(self.open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something to its end."""
        return self._runner.run(work)

    def teardown(self) -> None:
        """Let everything settle, compare, and close."""
        try:
            self.run(self.settle())
        finally:
            self.run(self.close())
            self._runner.close()

    async def open(self) -> None:
        """Begin with nothing."""

    async def settle(self) -> None:
        """Every fault is over: do what is left to do, and compare."""

    async def close(self) -> None:
        """Give back what was opened."""
