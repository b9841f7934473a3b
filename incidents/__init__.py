"""Findings become incidents that people close: tables, grouping, outbox, receivers, evidence store."""
