"""`python -m penstock_indexer`."""

from penstock_common.service import run_service
from penstock_indexer.app import build
from penstock_indexer.settings import Settings

if __name__ == "__main__":
    run_service("indexer", Settings, build)
