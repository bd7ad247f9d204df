"""An ONNX model as a net: one function for each operator, in families."""
