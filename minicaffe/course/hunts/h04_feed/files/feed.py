"""Samples of four numbers. The label of a sample says which of them is the largest: 0, 1, 2 or 3."""

import numpy as np

from minicaffe.layer import Layer

BATCH = 6


class Feed(Layer):
    """Put out the samples and their labels in a random order, batch by batch, again and again."""

    bottoms, tops = 0, 2

    def setup(self, bottom, top):
        draw = np.random.default_rng(5)
        self.samples = draw.uniform(-1, 1, (300, 4))
        self.labels = self.samples.argmax(axis=1)
        self.order = draw.permutation(300)
        self.at = 0

    def reshape(self, bottom, top):
        top[0].reshape(BATCH, 4)
        top[1].reshape(BATCH)

    def forward(self, bottom, top):
        for n in range(BATCH):
            top[0].data[n] = self.samples[self.order[self.at]]
            self.at = (self.at + 1) % len(self.order)
            top[1].data[n] = self.labels[self.order[self.at]]

    def backward(self, top, propagate_down, bottom):
        pass
