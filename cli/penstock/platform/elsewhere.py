"""A platform that this machine does not supervise, in containers say: the environment names its addresses and keys."""

import os
from collections.abc import Mapping

from penstock.platform.errors import PlatformError

ADDRESSES = {
    "base_url": "PENSTOCK_URL",
    "api_key": "PENSTOCK_KEY",
    "admin_key": "PENSTOCK_ADMIN_KEY",
    "bus": "PENSTOCK_BUS_URL",
    "database": "PENSTOCK_DATABASE_URL",
    "audit_database": "PENSTOCK_AUDIT_URL",
}


def named_addresses(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The fields of `State` where PENSTOCK_URL is set, else nothing. Raises PlatformError for a part of them."""
    if ADDRESSES["base_url"] not in environment:
        return {}
    if missing := [name for name in ADDRESSES.values() if not environment.get(name)]:
        raise PlatformError(f"PENSTOCK_URL is set, so these have to be set, too: {', '.join(missing)}.")
    found = {field: environment[name] for field, name in ADDRESSES.items()}
    return found | {"base_url": found["base_url"].rstrip("/")}
