"""Events said again by an operator: which, to whom, how fast, and how far it is."""
