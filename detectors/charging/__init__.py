"""Chargers on a room's circuit: the curve, its stages, the rule."""
