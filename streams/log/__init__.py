"""The log of batches: a port, SQLite on one machine, Kafka in a district."""
