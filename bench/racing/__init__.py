"""What `bench/race` is made of: the contestants, the rounds, and the table in the README."""
