"""What is kept, for how long, and who saw it: audit log, holds, retention, erasure."""
