"""What indexer decides: chunks, fusion of results; pure."""
