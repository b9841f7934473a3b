"""Finds work that is stuck: deliveries and incidents without a next step."""
