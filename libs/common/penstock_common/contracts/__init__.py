"""Typed messages: what services say to one another, and nothing else that they share."""
