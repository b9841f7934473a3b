"""The words everything shares: events, findings, incidents, configuration, errors and names. Pure."""
