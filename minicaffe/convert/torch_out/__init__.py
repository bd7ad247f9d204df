"""A net as a readable PyTorch module: one function for each layer type, in the families of minicaffe/layers."""
