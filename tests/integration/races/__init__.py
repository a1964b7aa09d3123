"""Two that want the same thing at once, on real servers: one outcome, one charge, and nobody waits for ever."""
