"""Compares four records made apart: api's requests, inference's generations, the ledger, the engine's own count."""
