"""What feeds the engine: the embedded driver on one machine; Faust on Kafka comes with the district."""
