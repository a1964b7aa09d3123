"""Search indexes on this process's disk. PostgreSQL is the truth; whatever lies here can be made again from it."""
