"""A net as an ONNX model: one function for each layer type, in the families of minicaffe/layers."""
