"""What can go wrong with the platform on this machine; every message is a sentence that says what to do."""

from typing import ClassVar

from penstock_common.errors import Fault, PenstockError


class PlatformError(PenstockError):
    """The platform can't do that here."""

    code = "cli.platform_failed"
    fault = Fault.CONFLICT
    exit_status: ClassVar[int] = 1


class NotRunning(PlatformError):
    """No platform runs on this data folder."""

    code = "cli.platform_not_running"
    fault = Fault.MISSING
    exit_status = 3


class AlreadyRunning(PlatformError):
    """Another platform runs on this data folder."""

    code = "cli.platform_already_running"
