"""What api is told at start."""

from pydantic import Field

from penstock_common.guarded_http.settings import ReachSettings
from penstock_common.settings import FolderSettings, Section, ServiceSettings, service_config

SHA256_HEX = r"^([0-9a-f]{64})?$"


class BootstrapSettings(Section):
    """Keys that exist from the first start on, as SHA-256 in hex; empty for none."""

    user_key_sha256: str = Field(default="", pattern=SHA256_HEX)
    admin_key_sha256: str = Field(default="", pattern=SHA256_HEX)


class Settings(ServiceSettings):
    """`PENSTOCK_API_…`."""

    model_config = service_config("api")

    keyring: FolderSettings
    """The keys that seal text; shared with inference."""
    objects: FolderSettings
    """Where uploaded documents rest, sealed; shared with indexer."""
    webhooks: ReachSettings = ReachSettings()
    """What may be posted to when a request has ended."""
    bootstrap: BootstrapSettings = BootstrapSettings()
    max_open: int = Field(default=16_000, ge=1, le=1_000_000)
    """Requests that this process holds open at once; more are answered 429."""
    answer_seconds: float = Field(default=300.0, ge=1, le=3600)
    """How long after its acceptance a request may still be answered: its deadline."""
    resume_seconds: float = Field(default=600.0, ge=1, le=86_400)
    """How long after its end a stream may still be taken up again."""
    slow_seconds: float = Field(default=30.0, ge=0.1, le=3600)
    """How long a client may make no room for more of its answer, before its connection is cut."""
