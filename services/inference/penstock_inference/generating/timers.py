"""What takes the place of a timer for each run."""

from dataclasses import dataclass, field

from penstock_inference.generating.alarms import Alarms
from penstock_inference.generating.pulse import Pulse


@dataclass(frozen=True, slots=True)
class Timers:
    """The timers of a process: its runs and its engine calls share them."""

    pulse: Pulse = field(default_factory=Pulse)
    alarms: Alarms = field(default_factory=Alarms)
