"""A bar is for eyes: on a terminal, and never in a file."""

import os
import pty
import subprocess
import sys

SCRIPT = """
from penstock.progress import progress
with progress("examining", 2) as step:
    for _ in range(2):
        step()
print("result")
"""


def test_a_terminal_gets_a_bar_and_a_pipe_none() -> None:
    """Standard output holds the result alone, either way."""
    ours, theirs = pty.openpty()
    shown = subprocess.run([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=theirs, text=True, check=True)
    os.close(theirs)
    assert b"examining" in os.read(ours, 65536)
    os.close(ours)
    piped = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert (shown.stdout, piped.stdout, piped.stderr) == ("result\n", "result\n", "")
