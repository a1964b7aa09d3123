"""What a request led to, over all services: gathered from their own records, drawn as a tree, judged."""
