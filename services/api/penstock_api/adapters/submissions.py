"""Accepts requests whose answers are fetched later: through the outbox, so that nothing loses them."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from penstock_api import metrics
from penstock_api.adapters.callbacks import check_callback, context_of
from penstock_api.adapters.idempotency import Claim
from penstock_api.adapters.queue_room import QueueRoom
from penstock_api.adapters.submission_writer import Entry, SubmissionWriter
from penstock_api.domain.callbacks import Callback
from penstock_api.domain.submission import QueueFull
from penstock_api.ports.hooks import Hooks
from penstock_api.ports.submissions import Accepted, Submitted
from penstock_common.clock import Clock
from penstock_common.contracts.base import Decision
from penstock_common.contracts.embedding import EmbedTexts
from penstock_common.contracts.generation import GenerateText, OnDisconnect
from penstock_common.contracts.queueing import BATCH, QueueText
from penstock_common.guarded_http import Policy
from penstock_common.sealing import Sealer

LARGE_BODY = 256 * 1024  # bytes; sealing more than that would hold up the loop
RETRY_SECONDS = range(1, 61)


@dataclass(frozen=True, slots=True)
class QueuedSubmissions:
    """Implements `Submissions`."""

    process: str
    writer: SubmissionWriter
    room: QueueRoom
    hooks: Hooks
    policy: Policy
    """Which addresses inside may be posted to."""
    sealer: Sealer
    clock: Clock

    async def submit(self, submitted: Submitted) -> Accepted:
        """See `Submissions`."""
        wanted, tenant = submitted.submission.wanted, submitted.key.tenant
        if isinstance(wanted.webhook, Callback):
            check_callback(wanted.webhook, self.policy)
        elif wanted.webhook:
            await self.hooks.find(tenant, wanted.webhook)
        position, wait = await self._place(tenant) if submitted.submission.is_queued else (None, None)
        entry = await self._entry(submitted)
        request_id = await self.writer.write(entry)
        repeated = request_id != submitted.request_id
        metrics.SUBMISSIONS.labels("repeated" if repeated else "accepted").inc()
        return Accepted(request_id, repeated=True) if repeated else Accepted(request_id, False, position, wait)

    async def _place(self, tenant: UUID) -> tuple[int | None, float | None]:
        """Where a request would stand now, and how long it would wait, in seconds. Raises QueueFull."""
        report, taken = await self.room.take(tenant)
        if report is None:
            return None, None
        if taken >= report.room:
            metrics.SUBMISSIONS.labels("full").inc()
            full = QueueFull()
            if report.expected_wait_seconds is not None:  # for this many places; one of them is enough
                one = int(report.expected_wait_seconds / report.position) + 1
                full.retry_after = min(max(one, RETRY_SECONDS.start), RETRY_SECONDS.stop - 1)
            raise full
        return report.position + taken, report.expected_wait_seconds

    async def _entry(self, submitted: Submitted) -> Entry:
        if len(submitted.raw) < LARGE_BODY:
            command, claim = self._sealed(submitted)
        else:
            command, claim = await asyncio.to_thread(self._sealed, submitted)
        webhook = submitted.submission.wanted.webhook
        who = {"request_id": submitted.request_id, "tenant": submitted.key.tenant, "depth": submitted.depth}
        if isinstance(webhook, Callback):
            context, content = context_of(submitted.request_id), msgspec.json.encode(webhook)
            sealed = self.sealer.seal(submitted.key.tenant, context, content)
            return Entry(command, claim, hook=None, callback=who | {"sealed": sealed})
        return Entry(command, claim, who | {"hook_id": webhook} if webhook else None)

    def _sealed(self, submitted: Submitted) -> tuple[GenerateText, Claim | None]:
        tenant, request_id = submitted.key.tenant, submitted.request_id
        claim = None
        if submitted.idempotency_key:
            key_mac = self.sealer.mac(tenant, f"inference:{submitted.idempotency_key}".encode())
            claim = Claim(tenant, key_mac, self.sealer.mac(tenant, submitted.raw), request_id)
        return self._command(submitted), claim

    def _command(self, submitted: Submitted) -> GenerateText:
        key, submission, now = submitted.key, submitted.submission, self.clock.now()
        lane = submission.wanted.lane
        given: dict[str, Any] = {
            "request_id": submitted.request_id,
            "tenant": key.tenant,
            "key_id": key.id,
            "tier": key.tier,
            "model": submitted.model,
            "asked": submission.form.model if submission.form.model != submitted.model else "",
            "includes_usage": submission.form.includes_usage,
            "catalogue_version": submitted.catalogue_version,
            "sealed": self.sealer.seal(key.tenant, str(submitted.request_id), submission.body),
            "body_mac": self.sealer.mac(key.tenant, submission.body),
            "streamed": submission.form.streamed,
            "reply_to": self.process,
            "accepted_at": now,
            "deadline": now + timedelta(seconds=submission.seconds),
            "lane": lane,
            "on_disconnect": OnDisconnect.CONTINUE,
            "is_promised": True,
            "decisions": [*submitted.decisions, Decision("submit", lane, self.process)],
        }
        if lane == BATCH:
            return QueueText(**given, priority=submission.priority, embeds=submission.embeds)
        return EmbedTexts(**given) if submission.embeds else GenerateText(**given)
