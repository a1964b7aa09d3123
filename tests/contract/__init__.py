"""What services say to one another, as released."""
