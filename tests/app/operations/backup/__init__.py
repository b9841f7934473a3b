"""Tests of ``app.operations.backup``."""
