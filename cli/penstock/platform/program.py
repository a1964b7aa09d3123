"""What to run, and how a process is tied to the one that started it."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.platform.account import Account

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A command line with everything that it needs."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    account: Account | None = None
    inherited: tuple[int, ...] = ()
    """File descriptors that it is given: under the same numbers, or from 3 on where it is forked."""
    stop_signal: signal.Signals = signal.SIGTERM
    hurry_signal: signal.Signals = signal.SIGKILL
    """Ends it at once without harm to its data."""

    def popen_arguments(self) -> dict[str, Any]:
        """Keyword arguments for subprocess: own session, dropped privileges, ended when its parent dies."""
        arguments: dict[str, Any] = {
            "env": dict(self.env),
            "cwd": self.cwd,
            "start_new_session": True,
            "pass_fds": self.inherited,
            "preexec_fn": tie_to_parent(self.stop_signal),
        }
        if self.account and self.account.foreign:
            arguments |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": ()}
        return arguments


def tie_to_parent(stop_signal: signal.Signals) -> Callable[[], None]:
    """For `preexec_fn`, which runs after the change of user: that change would clear the tie."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def plain_environment() -> dict[str, str]:
    """The few variables that a server or service may inherit."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR")
    return {name: value for name, value in os.environ.items() if name in kept or name.startswith("PYTHON")} | {
        "PYTHONUNBUFFERED": "1"
    }
