"""Which addresses may be called: public ones, and what the operator allowed by name or network."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What embeds an IPv4 address reaches that address: NAT64 (RFC 6052, 8215), 6to4, Teredo, IPv4-compatible. And the
# site-local ones of old (RFC 3879), which the registry does not have any more.
INSIDE = tuple(
    map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "fec0::/10"))
)


@dataclass(frozen=True, slots=True)
class Policy:
    """Hosts and networks that may be called although they are not public."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, allowed: Sequence[str]) -> "Policy":
        """From names and networks such as `grafana.internal` or `10.1.0.0/16`. Raises ValueError for neither."""
        hosts, networks = set(), []
        for entry in allowed:
            try:
                networks.append(ipaddress.ip_network(entry))
            except ValueError:
                if "/" in entry or not entry or entry != entry.strip():
                    raise ValueError(f"{entry!r} is neither a host nor a network such as 10.1.0.0/16") from None
                hosts.add(entry.lower())
        return cls(frozenset(hosts), tuple(networks))

    def permits(self, host: str, address: str) -> bool:
        """Whether a connection to this address may be opened on behalf of a URL's host."""
        if host.lower() in self.hosts:
            return True
        found = _address(address)
        return is_public(found) or any(found in network for network in self.networks)

    def names(self, host: str) -> bool:
        """Whether the operator allowed this host of a URL by its name or, where it is an address, by its network."""
        if host.lower() in self.hosts:
            return True
        try:
            found = _address(host)
        except ValueError:
            return False
        return any(found in network for network in self.networks)


def _address(text: str) -> Address:
    """An address without its zone; IPv4 in IPv6's clothes as IPv4. Raises ValueError."""
    found = ipaddress.ip_address(text.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet: not private, shared, local, multicast, reserved or embedding another.

    After IANA's special-purpose registries, as the standard library has them.
    """
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in network for network in INSIDE)
