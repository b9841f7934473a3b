"""A backup of one machine, made while it works, and putting it back: ADR 32 says in which order and what follows."""
