"""Spans, and how they leave."""
