"""Looks for engines again and again, and keeps the catalogue in step with what is found."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import aiohttp
import msgspec
import structlog

from penstock_common.contracts.discovery import Finding
from penstock_common.errors import PenstockError
from penstock_inference.adapters.local.asking import make_session
from penstock_inference.adapters.local.inspection import Sight, inspect
from penstock_inference.domain.catalogue import Snapshot
from penstock_inference.domain.engine_kinds import usual_at
from penstock_inference.domain.local_models import Address, registrations, served_at, with_local

log = structlog.get_logger()

ANSWERED = ("serving", "empty")
GONE = ("absent", "silent", "stranger")


class LiveCatalogue(Protocol):
    """The catalogue, as far as it is kept in step here."""

    @property
    def current(self) -> Snapshot:
        """As this process knows it."""

    async def apply(self, change: Callable[[Snapshot], Snapshot]) -> None:
        """Apply a change in a transaction of its own. Raises DatabaseUnavailable."""


class LocalEngines:
    """The findings of one process; its models stay in the catalogue while their engine is away."""

    def __init__(self, catalogue: LiveCatalogue, addresses: Sequence[Address], interval: float) -> None:
        self.catalogue, self.addresses, self.interval = catalogue, addresses, interval
        self._findings: dict[Address, Finding] = {}
        self._watching: asyncio.Task[None] | None = None

    @property
    def findings(self) -> list[Finding]:
        """The newest one of each address, in the order of the addresses."""
        return [self._findings[address] for address in self.addresses if address in self._findings]

    def start(self) -> None:
        """Begin to look; a start does not wait for it."""
        if self.addresses:
            self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Look no more."""
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def look(self) -> None:
        """Look at all addresses at once, five seconds at most, and take in what they offer."""
        async with make_session() as session:
            await asyncio.gather(*(self._look_at(session, address) for address in self.addresses))

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("discovery.crashed")
            await asyncio.sleep(self.interval)

    async def _look_at(self, session: aiohttp.ClientSession, address: Address) -> None:
        sight = Sight("own", "Penstock itself listens there") if address.own else await inspect(session, address)
        if sight.kind and sight.state in ANSWERED:
            await self._take(sight, address)
        self._note(address, sight)

    async def _take(self, sight: Sight, address: Address) -> None:
        assert sight.kind
        commands = registrations(sight.offers, sight.kind, address)
        change = partial(with_local, commands=commands, url=address.url, now=int(time.time()))
        if change(self.catalogue.current) is self.catalogue.current:
            return
        try:
            await self.catalogue.apply(change)
        except PenstockError as error:
            log.warning("discovery.unapplied", address=str(address), reason=error.message)

    def _note(self, address: Address, sight: Sight) -> None:
        models = served_at(self.catalogue.current, address.url)
        state, reason = sight.state, sight.reason
        if models and state in GONE:
            state, reason = "away", f"{reason}; its models are served again as soon as it is back"
        finding = Finding(
            address=str(address),
            usual=[kind.title for kind in usual_at(address.port)],
            state=state,
            reason=reason,
            since=datetime.now(UTC),
            engine=sight.kind.title if sight.kind else "",
            version=sight.version[:64],
            models=models,
        )
        before = self._findings.get(address)
        if before and (before.state, before.engine) == (finding.state, finding.engine):
            finding = msgspec.structs.replace(finding, since=before.since)
        else:
            log.info("engine.seen", address=finding.address, state=state, engine=finding.engine)
        self._findings[address] = finding
