"""Stills and clips of incidents: what is asked for, what is here, the sealed files."""
