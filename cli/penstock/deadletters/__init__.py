"""Messages that could not be handled, as an operator sees them."""
