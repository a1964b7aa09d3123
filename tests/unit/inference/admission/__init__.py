"""Who starts next, and what becomes of what waits."""
