"""How this service reaches the world outside."""
