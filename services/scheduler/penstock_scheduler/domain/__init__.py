"""What scheduler decides: due times, misfires; pure."""
