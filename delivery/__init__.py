"""Who is told of incidents, and how often it is tried: outbox, profiles, receivers."""
