"""How billing reaches PostgreSQL."""
