"""The online audit of the bus: whatever was said is done, dead or under way, consumer by consumer."""
