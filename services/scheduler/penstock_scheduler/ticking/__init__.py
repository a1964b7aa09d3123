"""The loop that turns moments into ticks."""
