"""Examples that run: each starts a platform of its own, does its work, shows it, and takes it away again."""
