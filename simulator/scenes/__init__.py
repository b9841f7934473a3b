"""Rendered camera scenes with ground truth: facade, lift, lobby, gate. The same seed gives the same pixels."""
