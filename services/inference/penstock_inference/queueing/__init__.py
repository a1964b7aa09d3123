"""Requests that wait until it is their turn, across all processes."""
