"""What is to become of a payload, from the command line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def change_of(changes: Sequence[str], payload: str | None) -> dict[str, Any]:
    """The body of the API's call. Raises ValueError, whose sentence names the option."""
    if bool(changes) == (payload is not None):
        raise ValueError("give either --set FIELD=VALUE, as often as needed, or --payload.")
    if payload is None:
        return {"patch": dict(_field(change) for change in changes)}
    try:
        whole = json.loads(Path(payload[1:]).read_text() if payload.startswith("@") else payload)
    except OSError as error:
        raise ValueError(f"--payload: {payload[1:]} can't be read ({error.strerror}).") from error
    except ValueError as error:
        raise ValueError(f"--payload is no JSON: {error}.") from error
    if not isinstance(whole, dict):
        raise ValueError("--payload has to be a JSON object.")
    return {"payload": whole}


def _field(change: str) -> tuple[str, Any]:
    name, there, value = change.partition("=")
    if not there or not name:
        raise ValueError(f"--set: {change!r} is no FIELD=VALUE.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
