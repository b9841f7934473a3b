"""Non-motor vehicles: where they may not be."""
