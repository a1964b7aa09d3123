"""The usage report's sums."""

import pytest

from penstock_billing.domain.errors import CurrenciesMixed
from penstock_billing.domain.usage import UsageRow, report
from penstock_common.contracts.billing import ModelUsage


def test_no_usage_is_zero_in_the_default_currency() -> None:
    """Also where requests ended that used nothing."""
    for rows in ([], [UsageRow("m", "EUR", 0, 0, 0, 0)]):
        empty = report(rows)
        assert (empty.requests, empty.cost_nano, empty.currency, empty.by_model) == (0, 0, "USD", {})


def test_models_are_summed() -> None:
    """In all and each by itself."""
    whole = report([UsageRow("b", "EUR", 1, 2, 3, 4), UsageRow("a", "EUR", 10, 20, 30, 40)])
    assert (whole.requests, whole.prompt_tokens, whole.completion_tokens, whole.cost_nano) == (11, 22, 33, 44)
    assert whole.by_model == {"a": ModelUsage(10, 20, 30, 40), "b": ModelUsage(1, 2, 3, 4)}
    assert whole.currency == "EUR"


def test_two_currencies_have_no_sum() -> None:
    """Better no answer than a wrong one."""
    with pytest.raises(CurrenciesMixed):
        report([UsageRow("a", "EUR", 1, 1, 1, 1), UsageRow("a", "USD", 1, 1, 1, 1)])
