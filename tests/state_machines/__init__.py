"""Random walks over a model of the bus and a real PostgreSQL; a model says after each step what must be true."""
