"""The archive: a site's part of a UTC day of the log in a file, compressed, sealed with the site's key, replayable."""
