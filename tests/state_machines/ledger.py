"""The ledger: whatever comes in whatever order how often, each request is charged once, and the books sum to zero."""

from typing import Any, ClassVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from penstock_common.contracts.generation import AttemptCosted, GenerationCompleted, Measure, Tokens
from penstock_common.ids import uuid7
from penstock_common.messaging.envelope import envelop
from penstock_common.topology import PLATFORM
from tests.state_machines.machine import Machine
from tests.state_machines.model_bus import ModelSettler, delivery_of
from tests.support.billing import PRICE, Billing, a_catalogue, a_completion, a_cost, id_of

UNKNOWN = Tokens(measure=Measure.ESTIMATED)
COUNTS = st.integers(0, 50)
WHICH = st.lists(st.integers(0, 10**6), min_size=1, max_size=6)
AMOUNTS = """
select account, sum(amount_nano) from billing.entries join billing.postings on entry_id = id
where request_id = :id group by 1 having sum(amount_nano) <> 0 order by 1
"""
CHARGES = "select count(*) from billing.entries where request_id = :id and book = 'customer'"
SAID = "select count(*) from billing.outbox where message_id = :id"
UNBALANCED = """
select entry_id from billing.postings join billing.entries on entry_id = id
group by 1 having sum(amount_nano) <> 0
"""


class LedgerMachine(Machine):
    """One billing process; `url` is its database."""

    url: ClassVar[str]

    async def open(self) -> None:
        """A process without a bus."""
        self.billing = Billing(self.url)
        self.settler = ModelSettler()
        self.billing.delivery.settler = self.settler
        self.completions: list[tuple[GenerationCompleted, str]] = []
        self.costs: list[tuple[AttemptCosted, str]] = []
        self.charged: dict[UUID, GenerationCompleted] = {}
        """What was handled first of each request."""
        self.cost: dict[UUID, tuple[Tokens, str]] = {}
        """Tokens and provider that stand in the provider's book."""

    async def close(self) -> None:
        """No connection is left."""
        await self.billing.database.close()

    @initialize()
    def know_a_price(self) -> None:
        """The same in every walk."""
        self.run(self.billing.receive(a_catalogue(), ids=(str(uuid7()),)))

    @rule(prompt=COUNTS, completion=COUNTS)
    def complete(self, prompt: int, completion: int) -> None:
        """A request ends; nobody was told yet."""
        event = a_completion(prompt=prompt, completion=completion, tenant=uuid7())
        self.completions.append((event, id_of(event)))

    @precondition(lambda self: self.completions)
    @rule(which=st.integers(0, 10**6), completion=COUNTS)
    def contradict(self, which: int, completion: int) -> None:
        """Somebody says under another id that the same request ended otherwise."""
        event, _ = self.completions[which % len(self.completions)]
        other = a_completion(completion=completion + 100, request_id=event.request_id, tenant=event.tenant)
        self.completions.append((other, f"{event.request_id}.other{len(self.completions)}"))

    @rule(prompt=COUNTS)
    def lose_an_attempt(self, prompt: int) -> None:
        """An attempt that ended with its process: an estimate, and later what it cost."""
        lost = a_cost(request_id=uuid7(), tokens=UNKNOWN, provider="", price_version=0)
        known = a_cost(request_id=lost.request_id, tokens=Tokens(prompt + 1, 1))
        self.costs += [(lost, f"{lost.request_id}.1.lost"), (known, id_of(known))]

    @precondition(lambda self: self.completions)
    @rule(which=WHICH)
    def deliver_completions(self, which: list[int]) -> None:
        """Any of them, in one batch, repeats included."""
        self.run(self._deliver([self.completions[n % len(self.completions)] for n in which]))

    @precondition(lambda self: self.costs)
    @rule(which=WHICH)
    def deliver_costs(self, which: list[int]) -> None:
        """Any of them, one by one."""
        for n in which:
            self.run(self._deliver([self.costs[n % len(self.costs)]]))

    async def _deliver(self, given: list[tuple[Any, str]]) -> None:
        buried = len(self.settler.buried)
        messages = [delivery_of(envelop(e, PLATFORM.topic(type(e)), message_id=id_)) for e, id_ in given]
        await self.billing.deliver(type(given[0][0]), messages)
        assert not self.settler.retried
        refused = set(self.settler.buried[buried:])
        for event, id_ in given:
            if id_ in refused:
                assert self.charged[event.request_id].tokens != event.tokens
            elif isinstance(event, AttemptCosted):
                self._costs(event)
            else:
                first = self.charged.setdefault(event.request_id, event)
                assert first.tokens == event.tokens

    def _costs(self, event: AttemptCosted) -> None:
        known = self.cost.get(event.request_id)
        if known is None or (known[0].measure is Measure.ESTIMATED and event.tokens.measure is not Measure.ESTIMATED):
            self.cost[event.request_id] = (event.tokens, event.provider)

    @invariant()
    def the_books_are_the_model_s(self) -> None:
        """Each request has its amounts, one charge, one fact; every entry sums to zero."""
        self.run(self._compare())

    async def _compare(self) -> None:
        assert await self.billing.fetch(UNBALANCED) == []
        for request_id, event in self.charged.items():
            assert dict(await self.billing.fetch(AMOUNTS, id=request_id)) == charged(event)
            assert await self.billing.fetch(CHARGES, id=request_id) == [1]
            assert await self.billing.fetch(SAID, id=f"{request_id}.usage") == [1]
        for request_id, (tokens, provider) in self.cost.items():
            found = dict(await self.billing.fetch(AMOUNTS, id=request_id))
            assert found == (costed(tokens, provider) if provider else {})

    async def settle(self) -> None:
        """Everything is delivered once more: nothing changes that was charged, and nothing is left uncharged."""
        for event in [*self.completions, *self.costs]:
            await self._deliver([event])
        await self._compare()
        assert {event.request_id for event, _ in self.completions} == set(self.charged)


def charged(event: GenerationCompleted) -> dict[str, int]:
    """What a request leaves on each account, in nano units."""
    tokens = event.tokens
    amount = tokens.prompt * PRICE.input_nano + tokens.completion * PRICE.output_nano
    books = {f"customer:{event.tenant}": amount, "revenue:usage": -amount} | costed(tokens, event.provider)
    return {account: each for account, each in books.items() if each}


def costed(tokens: Tokens, provider: str) -> dict[str, int]:
    """What an attempt leaves on the provider book's accounts, in nano units."""
    assert PRICE.provider_input_nano is not None
    assert PRICE.provider_output_nano is not None
    amount = tokens.prompt * PRICE.provider_input_nano + tokens.completion * PRICE.provider_output_nano
    return {"cost:inference": amount, f"provider:{provider}": -amount} if amount else {}
