"""Looks for what is wrong with a platform, running or not, and says how to mend it."""
