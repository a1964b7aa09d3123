"""The input of a schedule's runs, sealed under the schedule at rest and under the run on its way."""

from uuid import UUID

import msgspec

from penstock_common.sealing import Sealer

NOTHING = msgspec.Raw(b"null")


class Inputs:
    """Opens and seals JSON with the tenant's key."""

    def __init__(self, sealer: Sealer) -> None:
        self.sealer = sealer

    def of(self, schedule_id: UUID, sealed: bytes) -> msgspec.Raw:
        """The JSON that a schedule was saved with. Raises SubjectErased, ContractViolated."""
        return msgspec.Raw(self.sealer.open(str(schedule_id), sealed)) if sealed else NOTHING

    def for_run(self, tenant: UUID, run_id: UUID, given: msgspec.Raw) -> bytes:
        """The content of StartRun: no task of its own, and this input. Raises SubjectErased."""
        content = msgspec.json.encode({"task": None, "input": given})
        return self.sealer.seal(tenant, str(run_id), content)
