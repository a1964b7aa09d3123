"""The parts that every service shares."""
