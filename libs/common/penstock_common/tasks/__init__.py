"""Declared tasks: what one is, and what its templates and conditions mean. Shared by who accepts and who runs them."""
