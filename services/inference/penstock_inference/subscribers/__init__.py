"""Glue between messages and what inference does with them."""

from penstock_inference.subscribers import batch, catalogue, generation
from penstock_inference.subscribers.deps import Deps, router

__all__ = ["Deps", "batch", "catalogue", "generation", "router"]
