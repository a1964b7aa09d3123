"""What worker is told at start."""

from pydantic import Field

from penstock_common.guarded_http.settings import ReachSettings
from penstock_common.settings import FolderSettings, ServiceSettings, service_config


class Settings(ServiceSettings):
    """`PENSTOCK_WORKER_…`."""

    model_config = service_config("worker")

    keyring: FolderSettings
    """The keys that seal text; shared with api."""
    tools: ReachSettings = ReachSettings()
    """What tools and webhooks of tasks may call."""
    concurrency: int = Field(default=64, ge=1, le=1000)
    """Runs that this process carries out at once."""
