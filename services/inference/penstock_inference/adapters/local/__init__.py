"""Engines found by looking where they usually listen."""
