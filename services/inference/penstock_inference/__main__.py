"""`python -m penstock_inference`."""

from penstock_common.service import run_service
from penstock_inference.app import build
from penstock_inference.settings import Settings

if __name__ == "__main__":
    run_service("inference", Settings, build)
