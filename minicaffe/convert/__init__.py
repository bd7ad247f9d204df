"""Nets for other programs and from them: ONNX models, written and read, and PyTorch modules."""
