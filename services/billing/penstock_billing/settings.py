"""What the billing service is told at start."""

from penstock_common.settings import ServiceSettings, service_config


class Settings(ServiceSettings):
    """Bus, database and HTTP address; billing needs nothing else."""

    model_config = service_config("billing")
