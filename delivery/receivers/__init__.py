"""Receivers: who is told about incidents. ``base`` is the contract, one file per kind of receiver."""
