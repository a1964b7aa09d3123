"""What `bench/streams` is made of: the machine's limits, the crowd of streams, and its figures."""
