"""Faults planted on purpose: each must turn a checker red, or the checker proves nothing."""
