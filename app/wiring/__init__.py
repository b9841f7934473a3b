"""Composition roots: the parts of each process put together."""
