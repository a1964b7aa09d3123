"""A conversation with a model on the command line."""
