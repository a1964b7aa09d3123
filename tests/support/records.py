"""The four records that reconcile compares, written as the services and the simulated engine would write them."""

import asyncio
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from penstock.reconcile.run import Records as Compared
from penstock.reconcile.run import reconcile
from penstock_common.contracts.generation import GenerationCompleted
from tests.support.billing import PRICE, Billing
from tests.support.databases import Databases

API = """
insert into api.requests (request_id, tenant, key_id, model, streamed, lane, status, attempt, prompt_tokens,
                          completion_tokens, accepted_at, deadline, ended_at)
values ($1, $2, $3, $4, false, 'interactive', $5, $6, $7, $8, $9, $10, $11)
"""
INFERENCE = """
insert into inference.generations (request_id, tenant, key_id, model, outcome, attempt, prompt_tokens,
    completion_tokens, cached_tokens, measure, provider, price_version, streamed, lane, accepted_at, deadline, ended_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, false, 'interactive', $13, $14, $15)
"""
PRICES = """
insert into inference.prices (version, model, currency, input_nano, output_nano, cached_input_nano,
                              provider_input_nano, provider_output_nano) values ($1, 'm', $2, $3, $4, $5, $6, $7)
"""
DEADLINE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Records:
    """One platform's records, which agree until a test changes them."""

    databases: Databases
    data: Path
    billing: Billing

    async def prepare(self) -> None:
        """The price in both schemas, and the engine's folder."""
        await self.change(PRICES, *msgspec.structs.astuple(PRICE))
        (self.data / "sim").mkdir(parents=True)

    async def change(self, statement: str, *given: Any) -> None:
        """Run a statement as superuser, with all triggers off."""
        connection = await asyncpg.connect(self.databases.admin)
        try:
            await connection.execute("set session_replication_role = replica")
            await connection.execute(statement, *given)
        finally:
            await connection.close()

    async def add(self, event: GenerationCompleted) -> UUID:
        """A request that ended, in all four records."""
        await self.accept(event, status=event.outcome.value)
        await self.end(event)
        await self.billing.receive(event)
        self.count(event.request_id, event.attempt, event.tokens.prompt, event.tokens.completion)
        return event.request_id

    async def accept(self, event: GenerationCompleted, status: str = "accepted", at: datetime | None = None) -> None:
        """A row of api's."""
        at, tokens, ended = at or datetime.now(UTC), event.tokens, status != "accepted"
        end = (event.attempt, tokens.prompt, tokens.completion) if ended else (0, 0, 0)
        who = (event.request_id, event.tenant, event.key_id, event.model, status)
        await self.change(API, *who, *end, at, at + DEADLINE, at if ended else None)

    async def end(self, event: GenerationCompleted, outcome: str = "", at: datetime | None = None) -> None:
        """A row of inference's."""
        at, tokens = at or datetime.now(UTC), event.tokens
        who = (event.request_id, event.tenant, event.key_id, event.model, outcome or event.outcome.value)
        counts = (event.attempt, tokens.prompt, tokens.completion, tokens.cached, tokens.measure.value)
        price = (event.provider, event.price_version)
        await self.change(INFERENCE, *who, *counts, *price, at, at + DEADLINE, at)

    def count(self, request_id: UUID, attempt: int, prompt: int, completion: int, *, closed: bool = True) -> None:
        """Lines of the engine's."""
        head = {"request_id": str(request_id), "attempt": attempt}
        lines = [
            {"event": "open", **head, "model": "sim/fast", "prompt_tokens": prompt, "at": 0.0},
            {"event": "count", **head, "completion_tokens": completion},
            {"event": "close", **head, "prompt_tokens": prompt, "completion_tokens": completion},
        ]
        self.write("".join(f"{json.dumps(line)}\n" for line in lines[: 3 if closed else 2]))

    def write(self, text: str) -> None:
        """Append to the engine's file."""
        with (self.data / "sim" / "1-1.jsonl").open("a") as file:
            file.write(text)

    async def reconcile(self, settle: float = 0) -> dict[str, Any]:
        """What the command would print."""
        report = await reconcile(Compared(self.databases.audit, self.data / "sim"), settle)
        return report.as_json()

    async def command(self) -> tuple[int, dict[str, Any]]:
        """The command's exit code, and what it printed."""
        given = ("--database", self.databases.audit, "--data", str(self.data), "--settle", "0")
        return await penstock("reconcile", "--json", *given)


async def penstock(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the command line; exit code and decoded standard output."""
    command = (sys.executable, "-m", "penstock.main", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(output) if output else {"stderr": errors.decode()}
