"""Puts bench/ on the import path of its tests."""
