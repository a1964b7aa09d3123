"""How indexer reaches the outside."""
