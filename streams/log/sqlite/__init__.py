"""The embedded log: a SQLite file a day."""
