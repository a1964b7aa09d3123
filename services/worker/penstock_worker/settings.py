"""What worker is told at start."""

from pydantic import Field, field_validator

from penstock_common.guarded_http import Policy
from penstock_common.settings import FolderSettings, Section, ServiceSettings, service_config


class ToolSettings(Section):
    """What tools and webhooks of tasks may call."""

    allow: list[str] = Field(default=[])
    """Hosts and networks that may be called although they are not public: `["grafana.internal", "10.1.0.0/16"]`."""

    @field_validator("allow")
    @classmethod
    def _known(cls, allow: list[str]) -> list[str]:
        Policy.of(allow)
        return allow


class Settings(ServiceSettings):
    """`PENSTOCK_WORKER_…`."""

    model_config = service_config("worker")

    keyring: FolderSettings
    """The keys that seal text; shared with api."""
    tools: ToolSettings = ToolSettings()
    concurrency: int = Field(default=64, ge=1, le=1000)
    """Runs that this process carries out at once."""
