"""The images built and the stack run for real: `make test-compose`. Not part of `make test`."""
