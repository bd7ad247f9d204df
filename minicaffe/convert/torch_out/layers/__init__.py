"""How each layer type becomes lines of Python, in one file for each family. Importing the package registers them."""

from minicaffe.convert.torch_out.layers import (
                                                activation,
                                                common,
                                                loss,
                                                normalization,
                                                pooling,
                                                recurrent,
                                                utility,
                                                vision,
)

__all__ = ["activation", "common", "loss", "normalization", "pooling", "recurrent", "utility", "vision"]
