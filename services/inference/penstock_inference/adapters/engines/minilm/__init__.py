"""The built-in embedding model: real weights, run by a child process of its own."""
