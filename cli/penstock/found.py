"""Which engines were found by looking, for people."""

from collections.abc import Mapping
from typing import Any

from penstock.tables import console, table

DISCOVERY = "/api/v1/admin/discovery"
OFF = "Engines are not looked for: the platform was started with --no-discover."


def print_found(report: Mapping[str, Any]) -> None:
    """One line for each address that was looked at."""
    if not report["enabled"]:
        print(OFF)
        return
    shown = table("address", "usually", "found", "state", "what it means", title="Engines looked for")
    for finding in report["findings"]:
        found = f"{finding['engine']} {finding['version']}".strip()
        shown.add_row(finding["address"], ", ".join(finding["usual"]), found, finding["state"], finding["reason"])
    console().print(shown)
