"""`penstock run`."""

import os
import sys
from enum import StrEnum


class Service(StrEnum):
    """A service that can be run alone."""

    API = "api"
    INFERENCE = "inference"
    BILLING = "billing"
    WORKER = "worker"
    SCHEDULER = "scheduler"
    INDEXER = "indexer"


def run(service: Service) -> None:
    """Run one service in the foreground, configured by its PENSTOCK_<SERVICE>_… variables."""
    os.execv(sys.executable, [sys.executable, "-m", f"penstock_{service}"])  # noqa: S606 (a fixed command line)
