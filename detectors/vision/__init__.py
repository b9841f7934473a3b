"""Vision: arrays in, observations out. Pure: numpy, and cv2 as arithmetic."""
