"""What people configure: tables, change feed, file import, and who looks names up in it."""
