"""Engines found by looking."""
