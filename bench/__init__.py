"""Measured figures: each module runs by `python -m bench.<name>` and prints the command it was run with."""
