"""Events as an operator sees them: chosen, listed, shown, followed, exported."""
