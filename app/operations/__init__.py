"""Looking after a deployment: doctor, migration, trace, services."""
