"""HOW batches reach rules: the log, the engine, reordering, snapshots, drivers and results."""
