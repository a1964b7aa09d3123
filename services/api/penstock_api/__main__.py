"""`python -m penstock_api`."""

from penstock_api.app import build
from penstock_api.settings import Settings
from penstock_common.service import run_service

if __name__ == "__main__":
    run_service("api", Settings, build)
