"""QONNX and quantised ONNX files: one importer for each operator."""
