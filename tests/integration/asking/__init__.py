"""Services that ask models over the bus."""
