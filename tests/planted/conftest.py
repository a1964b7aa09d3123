"""Databases without an event loop."""

from tests.support.still_databases import databases, trial_url

__all__ = ["databases", "trial_url"]
