"""Whether a camera's pictures show anything at all."""
