"""The way from the box to the platform: events over MQTT, evidence over HTTP."""
