"""`python -m penstock_billing`."""

from penstock_billing.app import build
from penstock_billing.settings import Settings
from penstock_common.service import run_service

if __name__ == "__main__":
    run_service("billing", Settings, build)
