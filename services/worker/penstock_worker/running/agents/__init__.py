"""Agents: pydantic-ai on a model of our own that speaks over the bus, each call journalled before the next begins."""
