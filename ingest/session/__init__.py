"""The session with the MQTT broker: client, subscriptions, probes, watermark."""
