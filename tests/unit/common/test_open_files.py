"""A process may open what the system lets it; where that is too little, it says so and takes fewer clients."""

import subprocess
import sys

PROGRAM = """
import resource
from penstock_common.open_files import room_for
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(room_for({wanted}, "clients"))
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def told(soft: int, hard: int, wanted: int) -> tuple[int, int, str]:
    """The room that a process with these limits finds, its limit afterwards, and what it logged."""
    program = PROGRAM.format(soft=soft, hard=hard, wanted=wanted)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    *said, room, limit = done.stdout.splitlines()
    return int(room), int(limit), "\n".join(said)


def test_a_low_soft_limit_is_raised() -> None:
    """A shell's usual 1,024 don't bound a service where the system allows more."""
    assert told(soft=1024, hard=4096, wanted=3000) == (3000, 4096, "")


def test_a_low_hard_limit_bounds_the_clients_and_is_said() -> None:
    """Fewer clients are let in than wanted, and the log says how to let in all."""
    room, limit, said = told(soft=1024, hard=2048, wanted=20_000)
    assert (room, limit) == (1748, 2048)
    assert "open_files.low" in said
    assert "ulimit -Hn 20300" in said


def test_a_tiny_limit_still_lets_one_in() -> None:
    """No limit makes the room zero or negative."""
    assert told(soft=100, hard=100, wanted=5)[0] == 1
