"""Frames from cameras and files, with the time each was taken."""
