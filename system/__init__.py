"""The machine under the rooms: its clock, and files that outlive a crash. For whoever does I/O; it decides nothing."""
