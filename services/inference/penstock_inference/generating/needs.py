"""What every generation of a process needs."""

from collections.abc import Callable
from dataclasses import dataclass

from penstock_common.clock import Clock
from penstock_common.sealing import Sealer
from penstock_inference.generating.ports import Listeners, Models, Records, Tokenizer
from penstock_inference.generating.registry import Registry
from penstock_inference.generating.run import RunPorts
from penstock_inference.ports import Engines

UNRECORDED_SECONDS = 30.0  # how long a client waits for an end that can't be recorded


@dataclass(frozen=True, slots=True)
class Needs:
    """The dependencies of every generation of a process."""

    process: str
    engines: Engines
    models: Models
    records: Records
    listeners: Listeners
    tokenizer: Tokenizer
    registry: Registry
    sealer: Sealer
    shared: RunPorts
    clock: Clock
    is_gone: Callable[[str], bool]
    """Whether an api process was silent for so long that its clients may have left."""
    unrecorded_after: float = UNRECORDED_SECONDS
