"""Reads documents. Runs in a process of its own with limits, so it imports nothing of the service but the domain."""
