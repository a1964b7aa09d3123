"""`penstock doctor` and the faults that it has to find."""
