"""Services that are broken on purpose, to show that a chaos run notices. Each runs as the service that it breaks."""
