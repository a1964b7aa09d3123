"""The row that decides how a request ended, on a real PostgreSQL."""
