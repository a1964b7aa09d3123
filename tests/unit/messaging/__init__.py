"""Delivery rules, without a bus."""
