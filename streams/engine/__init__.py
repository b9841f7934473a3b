"""The engine: batches in, findings out. Pure: no clock, no I/O."""
