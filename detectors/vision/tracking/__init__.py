"""Objects over time: tracks, zones and lines."""
