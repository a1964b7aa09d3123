"""What scheduler is told at start."""

from penstock_common.settings import FolderSettings, ServiceSettings, service_config


class Settings(ServiceSettings):
    """`PENSTOCK_SCHEDULER_…`."""

    model_config = service_config("scheduler")

    keyring: FolderSettings
    """The keys that seal text; shared with api."""
