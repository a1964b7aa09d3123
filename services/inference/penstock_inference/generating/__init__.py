"""One generation from its command to its end."""
