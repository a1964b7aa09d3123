"""Facts about what all services share."""

from datetime import datetime

from penstock_common.contracts.base import Contract


class BusRebuilt(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """Something that keeps messages was missing on the bus and was made anew: what it held is lost."""

    rebuilt_at: datetime
