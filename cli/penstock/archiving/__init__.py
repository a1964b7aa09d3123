"""What an operator asks of the archive."""
