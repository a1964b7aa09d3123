"""Why a guarded call gave no answer."""

from penstock_common.errors import Fault, PenstockError


class AddressRefused(PenstockError):
    """The address is not one that tools may call."""

    code = "common.address_refused"
    fault = Fault.FORBIDDEN


class ToolCallInvalid(PenstockError):
    """The call can't be made as it was asked for."""

    code = "common.tool_call_invalid"
    fault = Fault.INVALID


class ToolUnreachable(PenstockError):
    """The tool can't be reached."""

    code = "common.tool_unreachable"
    fault = Fault.UNAVAILABLE


class ToolTooSlow(PenstockError):
    """The tool did not answer in time."""

    code = "common.tool_too_slow"
    fault = Fault.TIMEOUT


class ToolAnswerTooLarge(PenstockError):
    """The tool's answer is larger than what is read of one."""

    code = "common.tool_answer_too_large"
    fault = Fault.TOO_LARGE


class ToolAnswerRefused(PenstockError):
    """The tool's answer is not one that can be used."""

    code = "common.tool_answer_refused"
    fault = Fault.INVALID
