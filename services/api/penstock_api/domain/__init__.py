"""What this service decides: pure, without I/O."""
