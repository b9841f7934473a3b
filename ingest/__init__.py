"""HOW devices become batches: decoding, admission, clocks, batching and the MQTT session."""
