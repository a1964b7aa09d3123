"""`python -m penstock_scheduler`."""

from penstock_common.service import run_service
from penstock_scheduler.app import build
from penstock_scheduler.settings import Settings

if __name__ == "__main__":
    run_service("scheduler", Settings, build)
