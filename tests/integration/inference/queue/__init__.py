"""Requests that wait for their turn."""
