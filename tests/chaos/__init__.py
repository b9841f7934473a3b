"""A real district under faults: what it finds, tells and keeps must be what an undisturbed one would."""
