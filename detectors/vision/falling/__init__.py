"""Falling objects: motion, tracklets, physics."""
