"""Waits until the catalogue shows what was ordered."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from penstock.client import Client
from penstock.platform.errors import PlatformError

MODELS = "/api/v1/admin/models"
PATIENCE = 5.0  # seconds
UNCHANGED = 2.0  # seconds after which a model that already was as ordered counts as done
POLL = 0.05  # seconds

Models = Mapping[str, Mapping[str, Any]]
"""Models of the catalogue by name."""


class NotServed(PlatformError):
    """The order was taken, but the catalogue does not show it."""

    code = "cli.model_not_served"


def await_catalogue(client: Client, ordered: Mapping[str, Any], is_done: Callable[[Models], bool], hint: str) -> None:
    """Return once the catalogue is newer than when the order was taken and as it should be. Raises NotServed."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < PATIENCE:
        shown = client.get(MODELS)
        is_newer = shown["catalogue_version"] > ordered["catalogue_version"] or waited > UNCHANGED
        if is_newer and is_done({model["name"]: model for model in shown["models"]}):
            return
        time.sleep(POLL)
    raise NotServed(f"{ordered['name']}: the order was taken, but it is not carried out after {PATIENCE:.0f} s. {hint}")


def shows(model: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    """Whether a model of the catalogue, if there is one, is as it was ordered, as far as the catalogue tells."""
    if model is None:
        return False
    prices = ("input_nano", "output_nano")
    return (
        all(model["price"][name] == wanted[name] for name in prices)
        and sorted(model["aliases"]) == sorted(wanted["aliases"])
        and model["context_tokens"] == wanted["context_tokens"]
        and wanted["take_over"] in ("", model["take_over"])
    )
