"""Who may know whom: the rooms, the third-party clients and the pure modules. ``python -m tests.rings`` checks."""
