"""Posts to a webhook, signed by Standard Webhooks."""

import base64
import binascii
from typing import Any

import msgspec

from penstock_common.clock import Clock
from penstock_common.contracts.runs import DEPTH_HEADER
from penstock_common.guarded_http import GuardedHttp, ToolRequest
from penstock_common.standard_webhooks import signed_headers
from penstock_common.tasks.declaration import WebhookStep
from penstock_common.tasks.errors import TaskInvalid
from penstock_worker.domain.errors import ToolFailed, ToolRefused
from penstock_worker.ports import Journal, StepContext
from penstock_worker.running.steps.http import LATER, require_effects

PREFIX = "whsec_"
ATTEMPT_SECONDS = 20.0


class WebhookRunner:
    """Gives `status`. Every attempt of a step, in whichever process, carries the same id and body."""

    def __init__(self, http: GuardedHttp, clock: Clock) -> None:
        self.http, self.clock = http, clock

    async def run(self, step: WebhookStep, context: StepContext, journal: Journal) -> Any:
        """Post. Raises the errors of `GuardedHttp`, EffectsSuppressed, ToolFailed, ToolRefused, TaskInvalid."""
        require_effects()
        body = msgspec.json.encode({"type": step.type, "timestamp": context.begun_at.isoformat(), "data": step.data})
        now = int(self.clock.now().timestamp())
        headers = signed_headers(key_of(step.secret), f"msg_{context.call.id.hex}", now, body)
        headers |= {"Content-Type": "application/json", DEPTH_HEADER: str(context.run.depth + 1)}
        request = ToolRequest("POST", step.url, headers, body, follow=False)
        reply = await self.http.call(request, min(context.seconds, ATTEMPT_SECONDS))
        if 200 <= reply.status < 300:
            return {"status": reply.status}
        if reply.status in LATER or reply.status >= 500:
            raise ToolFailed(f"the webhook answered with status {reply.status}")
        raise ToolRefused(f"the webhook answered with status {reply.status}; it must answer with 2xx")


def key_of(secret: str) -> bytes:
    """The bytes that sign. Raises TaskInvalid where the secret is not Base64."""
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise TaskInvalid("`secret` is not Base64 after `whsec_`") from error
