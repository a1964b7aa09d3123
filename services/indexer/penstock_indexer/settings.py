"""What indexer is told at start."""

from pydantic import Field

from penstock_common.settings import FolderSettings, Section, ServiceSettings, service_config


class ParserSettings(Section):
    """What the process that reads one document may use."""

    memory_mb: int = Field(default=512, ge=64, le=65_536)
    seconds: int = Field(default=30, ge=1, le=600)
    """Of CPU; four times that by the clock."""
    characters: int = Field(default=10_000_000, ge=1000, le=100_000_000)
    pages: int = Field(default=2000, ge=1, le=100_000)


class Settings(ServiceSettings):
    """`PENSTOCK_INDEXER_…`."""

    model_config = service_config("indexer")

    keyring: FolderSettings
    """The keys that seal text; shared with api."""
    objects: FolderSettings
    """Where uploaded documents rest, sealed; shared with api."""
    index: FolderSettings
    """Search indexes of this process; made anew from the database where they are missing."""
    parser: ParserSettings = ParserSettings()
    documents_at_once: int = Field(default=2, ge=1, le=64)
    lease_seconds: float = Field(default=10.0, ge=1, le=300)
    """Seconds after which a document of a dead process is taken over."""
    open_bases: int = Field(default=64, ge=1, le=10_000)
    """Knowledge bases whose indexes are in memory at once."""
