"""A living community with ground truth. Knows contracts only, never the detectors it is used to judge."""
