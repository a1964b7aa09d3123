"""Slots, who waits for them, and who is turned away, on real servers."""
