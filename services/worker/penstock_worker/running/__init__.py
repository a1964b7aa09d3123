"""Runs on their way: claimed, carried out step by step, journalled."""
