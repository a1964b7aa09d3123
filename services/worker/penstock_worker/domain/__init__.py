"""What worker's tasks and runs decide; pure."""
