"""Models and analysers: frames in, observations out."""
