"""The conformance suite: the same guarantees on every bus."""
