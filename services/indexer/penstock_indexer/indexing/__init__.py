"""Takes documents from the queue into the index: claims, steps, retries. Knows ports only."""
