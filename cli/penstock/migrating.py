"""Schemas brought to the code's head, each as the role that owns it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from penstock.platform.credentials import SERVICES, load_passwords
from penstock.platform.database import role_of
from penstock.platform.errors import PlatformError
from penstock.platform.folder import DataFolder
from penstock.platform.state import running
from penstock.roles import make_roles, named_passwords
from penstock_common.db.heads import code_head, current_heads
from penstock_common.db.migrate import upgrade


@dataclass(frozen=True, slots=True)
class Step:
    """Where one service's schema was, and where it is now."""

    service: str
    before: str | None
    after: str

    def __str__(self) -> str:
        if (self.before or "") >= self.after:
            return f"{self.service} is at {self.before}"
        return f"{self.service} went from {self.before or 'nothing'} to {self.after}"


async def urls_with_roles(data: Path | None, database: str | None) -> dict[str, str]:
    """As `service_urls`, each service with a role of its own, made first. Raises NotRunning, PlatformError."""
    admin, passwords = database or running(DataFolder.at(data)).database, named_passwords()
    await make_roles(admin, passwords)
    return {s: as_role(admin, role_of(s), passwords[s]) for s in SERVICES}


def service_urls(data: Path | None, database: str | None) -> dict[str, str]:
    """Database URL by service: the given one for all, else those of the running platform. Raises NotRunning."""
    if database:
        return dict.fromkeys(SERVICES, database)
    folder = DataFolder.at(data)
    state = running(folder)
    if state.database == state.audit_database:  # the operator's own server, where one role does it all
        return dict.fromkeys(SERVICES, state.database)
    passwords = load_passwords(folder)
    return {s: as_role(state.database, role_of(s), passwords[s]) for s in SERVICES}


def as_role(url: str, role: str, password: str) -> str:
    """The same database, entered as another role."""
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}:{password}@{address}").geturl()


async def migrate(urls: dict[str, str], done: Callable[[], None] = lambda: None) -> list[Step]:
    """Migrate what is behind; `done` is called after each service. Raises DatabaseUnavailable, PlatformError."""
    steps = []
    for service, url in urls.items():
        steps.append(await _migrate(service, url))
        done()
    return steps


async def _migrate(service: str, url: str) -> Step:
    head = code_head(service)
    try:
        before = (await current_heads(url, (service,))).get(service)
    except (ValueError, asyncpg.PostgresError) as error:
        raise PlatformError(f"{url} can't be used: {error}.") from error
    if (before or "") < head:
        await upgrade(service, url)
    return Step(service, before, head)
