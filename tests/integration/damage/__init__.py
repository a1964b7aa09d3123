"""A bus whose store was damaged on disk: what it lost is seen and said again, and no money is ever wrong."""
