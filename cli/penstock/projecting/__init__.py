"""Projections made anew beside the live ones, compared with them, and put in their place."""
