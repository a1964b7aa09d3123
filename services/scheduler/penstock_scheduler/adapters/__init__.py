"""How scheduler reaches the outside."""
