"""Caffe's Python surface: `from minicaffe import pycaffe as caffe`."""

from minicaffe.layer import Layer
from minicaffe.proto import TEST, TRAIN
from minicaffe.pycaffe.net import Net
from minicaffe.pycaffe.solver import get_solver

__all__ = ["TEST", "TRAIN", "Layer", "Net", "get_solver"]
