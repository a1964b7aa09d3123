"""How worker reaches the outside."""
