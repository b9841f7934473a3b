"""Reading the tensors of object detectors: letterbox, decoders, boxes."""
