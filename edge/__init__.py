"""HOW frames become observations on the box by the camera: capture, ONNX, pipeline, evidence, spool, publishing."""
