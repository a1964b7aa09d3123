"""What indexer is told at start."""

from penstock_common.settings import FolderSettings, ServiceSettings, service_config


class Settings(ServiceSettings):
    """`PENSTOCK_INDEXER_…`."""

    model_config = service_config("indexer")

    keyring: FolderSettings
    """The keys that seal text; shared with api."""
    objects: FolderSettings
    """Where uploaded documents rest, sealed; shared with api."""
    index: FolderSettings
    """Search indexes of this process; made anew from the database where they are missing."""
