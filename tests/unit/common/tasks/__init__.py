"""Declared tasks."""
