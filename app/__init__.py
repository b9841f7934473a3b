"""Composition roots: the ``linli`` command, settings and process wiring."""
