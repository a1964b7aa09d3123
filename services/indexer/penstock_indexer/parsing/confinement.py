"""What a process gives up before it reads what a stranger wrote."""

import contextlib
import ctypes
import os
import resource

from penstock_indexer.parsing.wire import Limits

NICENESS = 10
SECONDS_TO_DIE = 2  # between SIGXCPU and SIGKILL
PR_SET_PDEATHSIG, SIGKILL = 1, 9
CLONE_NEWUSER, CLONE_NEWNET = 0x1000_0000, 0x4000_0000


def confine(limits: Limits) -> None:
    """Bound memory and CPU, write no file, end with the parent, step behind all others; no network where Linux lets us.

    A machine that forbids user namespaces leaves the network as it is.
    """
    os.nice(NICENESS)
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, SIGKILL)
        libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)
    memory = _address_space() + limits.memory
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.seconds, limits.seconds + SECONDS_TO_DIE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _address_space() -> int:
    """Bytes that this process has mapped now."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()
