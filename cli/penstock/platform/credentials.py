"""Passwords and keys that are made once per data folder."""

import hashlib
import secrets
from dataclasses import dataclass

from penstock.platform.errors import PlatformError
from penstock.platform.files import read_json, write_json
from penstock.platform.folder import DataFolder

SERVICES = ("api", "inference", "billing", "worker", "scheduler", "indexer")
ACCOUNTS = ("nats", "admin", "audit", *SERVICES)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The local keys: one for clients, without limits, and one for the operator."""

    api_key: str
    admin_key: str


def digest(key: str) -> str:
    """SHA-256 of a key in hex, the only form that the platform stores."""
    return hashlib.sha256(key.encode()).hexdigest()


def load_passwords(folder: DataFolder) -> dict[str, str]:
    """Password by account of the embedded servers; made at the first start."""
    known = read_json(folder.passwords)
    if not known and (folder.root / "postgres").exists():
        raise PlatformError(
            f"{folder.passwords} is missing or damaged, and the database in {folder.root} can't be opened "
            "without it. Put it back from a backup, or choose another --data."
        )
    wanted = {account: known.get(account) or secrets.token_hex(24) for account in ACCOUNTS}
    if wanted != known:
        write_json(folder.passwords, wanted)
    return wanted


def load_credentials(folder: DataFolder) -> Credentials:
    """The two local keys; made at the first start, or anew where the file was removed."""
    known = read_json(folder.credentials)
    keys = {name: known.get(name) or _new_key() for name in ("api_key", "admin_key")}
    if keys != known:
        write_json(folder.credentials, keys)
    return Credentials(**keys)


def _new_key() -> str:
    return f"psk-{secrets.token_urlsafe(32)}"
