"""Usage, summed over the customer book."""

from sqlalchemy import text

from penstock_billing.domain.usage import ANSWERED, UsageRow, report
from penstock_common.contracts.billing import ReadUsage, UsageReport
from penstock_common.db.transaction import Database

SUMS = """
select model, currency,
       count(*) filter (
           where outcome = any(:answered) or outcome = 'cancelled' and prompt_tokens + completion_tokens > 0
       ) as requests,
       sum(prompt_tokens)::bigint as prompt_tokens,
       sum(completion_tokens)::bigint as completion_tokens,
       sum(amount_nano)::bigint as cost_nano
from billing.entries e
join billing.postings p on p.entry_id = e.id and p.account = 'customer:' || e.tenant
where book = 'customer' {conditions}
group by model, currency
"""


class SqlUsage:
    """Reads the ledger for one question at a time."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def read(self, question: ReadUsage) -> UsageReport:
        """Usage of a tenant, a request, or the whole platform. Raises CurrenciesMixed."""
        wanted = {"tenant": question.tenant, "request_id": question.request_id}
        given = {name: value for name, value in wanted.items() if value is not None}
        conditions = "".join(f" and e.{name} = :{name}" for name in given)
        async with self.database.reading() as connection:
            answered = [outcome.value for outcome in ANSWERED]
            rows = await connection.execute(text(SUMS.format(conditions=conditions)), {"answered": answered, **given})
            return report([UsageRow(*row) for row in rows])
