"""The queue's rules."""
