"""The adapter against llama.cpp itself."""
