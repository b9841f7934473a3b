"""What the box has to say, on disk until the platform has it."""
