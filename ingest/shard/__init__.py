"""One shard of ingest: the threads that turn messages into records of the log."""
