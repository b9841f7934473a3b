"""Stills and clips on the box's disk."""
