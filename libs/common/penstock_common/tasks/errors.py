"""What may be wrong with a declared task."""

from penstock_common.errors import Fault, PenstockError


class TaskInvalid(PenstockError):
    """The task's declaration is not valid."""

    code = "common.task_invalid"
    fault = Fault.INVALID


class ExpressionInvalid(PenstockError):
    """An expression can't be read."""

    code = "common.expression_invalid"
    fault = Fault.INVALID


class ValueMissing(PenstockError):
    """A template names a value that is not there."""

    code = "common.template_value_missing"
    fault = Fault.INVALID


class RenderedTooLarge(PenstockError):
    """What a template became is larger than 1 MiB."""

    code = "common.template_too_large"
    fault = Fault.TOO_LARGE
