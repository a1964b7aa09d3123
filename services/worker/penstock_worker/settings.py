"""What worker is told at start."""

from penstock_common.settings import FolderSettings, ServiceSettings, service_config


class Settings(ServiceSettings):
    """`PENSTOCK_WORKER_…`."""

    model_config = service_config("worker")

    keyring: FolderSettings
    """The keys that seal text; shared with api."""
