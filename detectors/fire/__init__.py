"""Smoke and heat."""
