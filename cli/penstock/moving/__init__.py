"""Makes a bus anew from the outboxes, and moves a running platform from one bus to another."""
