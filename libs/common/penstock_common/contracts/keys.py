"""Facts about API keys. They carry ids only; the hash never leaves its table."""

from uuid import UUID

from penstock_common.contracts.base import Contract


class KeyCreated(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """A key may be used from now on."""

    key_id: UUID
    tenant: UUID
    version: int


class KeyRevoked(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """A key may no longer be used."""

    key_id: UUID
    tenant: UUID
    version: int
