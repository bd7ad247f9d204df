"""The table as a data source: a Python layer that puts out all 100 flowers."""

from pathlib import Path

import numpy as np

from minicaffe.layer import Layer


def read_table() -> tuple[np.ndarray, np.ndarray]:
    """Return the four measurements of 100 flowers in cm, and 1 for each virginica, 0 for each versicolor."""
    table = np.loadtxt(Path(__file__).with_name("iris.csv"), delimiter=",", skiprows=1)
    return table[:, :4], table[:, 4]


class IrisLayer(Layer):
    """Put out the flowers with standardized measurements, so that one learning rate suits all four.

    Forward   features = (f − mean of f) / std of f

    Bottom    none
    Top       features (N, 4); virginica (N, 1), 0 or 1
    """

    bottoms = 0
    tops = 2

    def setup(self, bottom, top):
        cm, t = read_table()
        self.features, self.t = (cm - cm.mean(axis=0)) / cm.std(axis=0), t[:, None]

    def reshape(self, bottom, top):
        top[0].reshape(self.features.shape)
        top[1].reshape(self.t.shape)

    def forward(self, bottom, top):
        top[0].data[...] = self.features
        top[1].data[...] = self.t
