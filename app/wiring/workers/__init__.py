"""Processes of the district that run the rules: a worker, and the supervisor that replaces it when it is stuck."""
