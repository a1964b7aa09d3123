"""Billing's answers to queries."""

from collections.abc import Awaitable, Callable

from penstock_billing.adapters.usage import SqlUsage
from penstock_common.contracts.base import decode, encode
from penstock_common.contracts.billing import ReadUsage
from penstock_common.topology import READ_USAGE


def usage_answer(usage: SqlUsage) -> Callable[[bytes], Awaitable[bytes]]:
    """What is given to the bus to answer ReadUsage."""

    async def answer(body: bytes) -> bytes:
        return encode(await usage.read(decode(ReadUsage, body, READ_USAGE.wire)), READ_USAGE.wire)

    return answer
