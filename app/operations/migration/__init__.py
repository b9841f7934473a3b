"""From one machine's stores to a district's: every part repeatable, so that a killed migration is started again."""
