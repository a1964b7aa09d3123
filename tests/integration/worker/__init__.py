"""Worker on real servers."""
