"""Everything is killed, frozen and restarted under live streams, and a checker reads what clients and books say."""
