"""What is kept of a partition: findings, snapshots, manifest, failures. A port, SQLite and Kafka."""
