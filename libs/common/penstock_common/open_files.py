"""How many files, and so connections, this process may have open."""

import resource

import structlog

log = structlog.get_logger()

MOST = 1 << 20
"""Some systems allow a billion; programs that we start may make a table of them."""
SPARE = 300
"""What a process opens beside its clients: libraries, logs, database, bus."""


def allow_all() -> int:
    """Raise this process's limit of open files to what the system lets it have, and give it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return most
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def room_for(wanted: int, what: str) -> int:
    """So many of the wanted connections as fit into the limit of open files, at least one.

    Where that is fewer, the log says so and how to mend it: what is beyond has to be refused politely, because
    a process without files can't even accept a connection.
    """
    room = max(1, allow_all() - SPARE)
    if room < wanted:
        mend = f"ulimit -Hn {wanted + SPARE} before the start, or LimitNOFILE={wanted + SPARE} in a systemd unit"
        log.warning("open_files.low", what=what, wanted=wanted, room=room, mend=mend)
    return min(room, wanted)
