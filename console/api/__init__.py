"""The console's API under ``/api/v1`` and the boxes' uploads."""
