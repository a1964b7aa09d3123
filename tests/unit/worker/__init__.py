"""Worker's domain."""
