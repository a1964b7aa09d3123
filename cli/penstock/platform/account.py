"""The account that embedded PostgreSQL runs as: it refuses root."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from penstock.platform.errors import PlatformError

UNPRIVILEGED = "nobody"


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine; `foreign` where it isn't the one who runs this command."""

    name: str
    uid: int
    gid: int
    foreign: bool

    def may_enter(self, folder: Path) -> bool:
        """Whether the mode bits let this account through the folder."""
        facts = folder.stat()
        if facts.st_uid == self.uid:
            return bool(facts.st_mode & stat.S_IXUSR)
        if facts.st_gid == self.gid:
            return bool(facts.st_mode & stat.S_IXGRP)
        return bool(facts.st_mode & stat.S_IXOTH)

    def own(self, path: Path) -> None:
        """Give the path to this account."""
        if self.foreign:
            os.chown(path, self.uid, self.gid)


def server_account() -> Account:
    """The current user, or an unprivileged one for root."""
    if os.geteuid() != 0:
        return Account(pwd.getpwuid(os.geteuid()).pw_name, os.geteuid(), os.getegid(), foreign=False)
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise PlatformError(f"PostgreSQL does not run as root, and this machine has no user {UNPRIVILEGED}.") from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, foreign=True)
