"""Engines found by looking, on real servers."""
