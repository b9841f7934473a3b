"""Where results go: measurements as points, a spool on disk, and the stores that keep and answer."""
