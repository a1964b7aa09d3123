"""What inference is told at start."""

from pathlib import Path

from pydantic import Field

from penstock_common.settings import FolderSettings, ServiceSettings, service_config


class Settings(ServiceSettings):
    """`PENSTOCK_INFERENCE_…`."""

    model_config = service_config("inference")

    keyring: FolderSettings
    """The keys that seal text; shared with api."""
    secrets: FolderSettings
    """Sealed keys of engines."""
    sim: FolderSettings
    """Where the simulated engine counts what it produced."""
    models_file: Path | None = None
    """Models to serve from the start (`models.yaml`)."""
    discover: bool = False
    """Whether engines are looked for in the environment (`OPENAI_API_KEY`, `DEEPSEEK_API_KEY`)."""
    slots: int = Field(default=1000, ge=1, le=100_000)
    """Generations at once in this process."""
