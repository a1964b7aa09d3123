"""What `bench/run` is made of: instruments, scenarios, figures and the report."""
