"""What can be wrong with a schedule."""

from penstock_common.errors import Fault, PenstockError


class ImpossibleTiming(PenstockError):
    """The schedule can never be due as it is written. `field` names what to change."""

    code = "scheduler.impossible_timing"
    fault = Fault.INVALID

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message, field=field)
