"""JSON at rest, sealed by its tenant's key."""

from typing import Any
from uuid import UUID

import msgspec

from penstock_common.errors import SubjectErased
from penstock_common.sealing import Sealer


class Seals:
    """Seals and opens JSON values; what nobody can read any more is sealed as nothing."""

    def __init__(self, sealer: Sealer) -> None:
        self.sealer = sealer

    def seal(self, tenant: UUID, context: UUID | str, value: Any) -> bytes:
        """Seal a value; empty where the tenant's key was erased: a run's end is written all the same."""
        try:
            return self.sealer.seal(tenant, str(context), msgspec.json.encode(value))
        except SubjectErased:
            return b""

    def open(self, context: UUID | str, sealed: bytes) -> Any:
        """The value. Raises SubjectErased, ContractViolated."""
        if not sealed:
            raise SubjectErased
        return msgspec.json.decode(self.sealer.open(str(context), sealed))

    def open_or_none(self, context: UUID | str, sealed: bytes | None) -> Any:
        """The value; None where there is none, or its key was erased."""
        try:
            return self.open(context, sealed) if sealed else None
        except SubjectErased:
            return None

    def mac(self, tenant: UUID, text: str) -> str:
        """Equal for equal texts of a tenant, and silent about them. Raises SubjectErased."""
        return self.sealer.mac(tenant, text.encode())
