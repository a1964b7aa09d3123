"""A process killed before and after each durable step of what inference does."""
