"""Fixtures of this folder."""

from tests.support.stores import on_both, stores_closed

__all__ = ["on_both", "stores_closed"]
