"""What providers cost us: one entry an attempt, and a correction where an estimate turned out otherwise."""

import pytest

from penstock_common.contracts.generation import Measure, Tokens
from penstock_common.ids import uuid7
from tests.support.billing import Billing, a_completion, a_cost

pytestmark = pytest.mark.integration

COSTS = """select attempt, account, sum(amount_nano) from billing.entries join billing.postings on entry_id = id
           where book = 'provider' and amount_nano <> 0 group by 1, 2 order by 1, 2"""
UNKNOWN = Tokens(measure=Measure.ESTIMATED)


async def test_a_completion_costs_us_its_tokens(billing: Billing) -> None:
    """The attempt that the customer saw is in both books."""
    await billing.receive(a_completion(prompt=40, completion=2))
    cost = 40 * 30_000 + 2 * 60_000
    assert await billing.fetch(COSTS) == [(1, "cost:inference", cost), (1, "provider:simulated", -cost)]


async def test_a_losing_attempt_costs_the_provider_book_alone(billing: Billing) -> None:
    """No customer pays for it, and redelivery does not cost again."""
    event = a_cost(attempt=2, tokens=Tokens(10, 1))
    await billing.receive(event, times=2)
    assert await billing.fetch(COSTS) == [(2, "cost:inference", 360_000), (2, "provider:simulated", -360_000)]
    assert await billing.published() == []


async def test_a_lost_attempt_is_booked_as_an_estimate(billing: Billing) -> None:
    """Its provider, price and tokens died with its process."""
    await billing.receive(a_cost(tokens=UNKNOWN, provider="", price_version=0))
    accounts = await billing.fetch("select account from billing.postings order by 1")
    assert accounts == ["cost:inference", "provider:unknown"]


async def test_a_cost_corrects_the_estimate(billing: Billing) -> None:
    """The estimate stays; what corrects it names it, and a third word changes nothing."""
    request_id = uuid7()
    lost = a_cost(request_id=request_id, tokens=UNKNOWN, provider="", price_version=0)
    costed = a_cost(request_id=request_id, tokens=Tokens(10, 1, measure=Measure.PARTIAL))
    await billing.receive(lost, ids=(f"{request_id}.1.lost",))
    await billing.receive(costed)
    await billing.receive(costed, ids=(f"{request_id}.1.again",))
    assert await billing.fetch(COSTS) == [(1, "cost:inference", 360_000), (1, "provider:simulated", -360_000)]
    pairs = """select a.source_key from billing.entries a join billing.entries b on a.corrects = b.id
               where b.source_key = :key"""
    key = f"{request_id}/1/cost"
    assert await billing.fetch(pairs, key=key) == [f"{key}/corrected"]


async def test_an_estimate_does_not_replace_a_cost(billing: Billing) -> None:
    """Messages come in any order."""
    request_id = uuid7()
    await billing.receive(a_cost(request_id=request_id, tokens=Tokens(10, 1)))
    await billing.receive(a_cost(request_id=request_id, tokens=UNKNOWN), ids=(f"{request_id}.1.lost",))
    assert await billing.fetch(COSTS) == [(1, "cost:inference", 360_000), (1, "provider:simulated", -360_000)]
