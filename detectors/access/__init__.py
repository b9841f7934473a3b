"""Who passes a door or a gate, and with what."""
