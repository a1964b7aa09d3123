"""What every Penstock service shares: contracts, messaging, database and process plumbing."""
