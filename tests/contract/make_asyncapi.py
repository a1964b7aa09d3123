"""`python -m tests.contract.make_asyncapi`: write docs/asyncapi.json anew."""

import json
from importlib.metadata import version
from pathlib import Path

from penstock_common.asyncapi import document
from penstock_common.topology import PLATFORM

PATH = Path(__file__).resolve().parents[2] / "docs" / "asyncapi.json"


def text() -> str:
    """The document of the platform as it is today."""
    return json.dumps(document(PLATFORM, version("penstock-common")), indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
