"""Ingest: from bytes on a topic to batches in the log."""
