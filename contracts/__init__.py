"""The words everything shares: events, findings, incidents, configuration, errors and names. Imports msgspec only."""
