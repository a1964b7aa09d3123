"""`python -m penstock_worker`."""

from penstock_common.service import run_service
from penstock_worker.app import build
from penstock_worker.settings import Settings

if __name__ == "__main__":
    run_service("worker", Settings, build)
