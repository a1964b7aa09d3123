"""The usage report: what the ledger says, by model and in all."""

from collections.abc import Sequence
from dataclasses import dataclass

from penstock_billing.domain.errors import CurrenciesMixed
from penstock_common.contracts.billing import ModelUsage, UsageReport
from penstock_common.contracts.generation import Outcome

ANSWERED = (Outcome.SUCCEEDED, Outcome.PARTIAL)
"""Outcomes that count as a request in usage; a cancelled one counts where it used tokens."""
DEFAULT_CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Sums over the customer book for one model and one currency."""

    model: str
    currency: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_nano: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing was answered, used or charged."""
        return not (self.requests or self.prompt_tokens or self.completion_tokens or self.cost_nano)


def report(rows: Sequence[UsageRow]) -> UsageReport:
    """The sum of the rows. Raises CurrenciesMixed where there is no such sum."""
    used = [row for row in rows if not row.is_empty]
    currencies = {row.currency for row in used}
    if len(currencies) > 1:
        raise CurrenciesMixed(f"charged in {', '.join(sorted(currencies))}: ask by request or by tenant")
    return UsageReport(
        requests=sum(row.requests for row in used),
        prompt_tokens=sum(row.prompt_tokens for row in used),
        completion_tokens=sum(row.completion_tokens for row in used),
        cost_nano=sum(row.cost_nano for row in used),
        currency=next(iter(currencies), DEFAULT_CURRENCY),
        by_model={
            row.model: ModelUsage(row.requests, row.prompt_tokens, row.completion_tokens, row.cost_nano)
            for row in sorted(used, key=lambda row: row.model)
        },
    )
