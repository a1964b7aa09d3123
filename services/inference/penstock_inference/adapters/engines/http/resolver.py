"""Names of engines."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable

import aiohttp
from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult


async def found(host: str, port: int) -> list[AddrInfoType]:
    """Addresses of a host. Raises OSError where it has none, or one that is link-local."""
    infos: list[AddrInfoType] = []
    infos += await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    must_be_elsewhere(host, (str(info[4][0]) for info in infos))
    return infos


def must_be_elsewhere(host: str, addresses: Iterable[str]) -> None:
    """Raise OSError for link-local addresses, where clouds keep their machines' credentials."""
    if any(ipaddress.ip_address(address.partition("%")[0]).is_link_local for address in addresses):
        raise OSError(f"{host} is a link-local address, which no engine may have")


class GuardedResolver(AbstractResolver):
    """The same guard for aiohttp."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a host. Raises OSError where one is link-local."""
        resolved = await self._inner.resolve(host, port, family)
        must_be_elsewhere(host, (address["host"] for address in resolved))
        return resolved

    async def close(self) -> None:
        """Nothing to release."""
        await self._inner.close()
