"""The webhook: a signed POST of the incident as JSON. ``stand_in`` is a strict other side, for the demo and tests."""
