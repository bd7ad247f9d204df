"""One time step of an LSTM. Its gradient is quick enough as it is defined."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions import recurrent as definitions
from minicaffe.kernels.definitions.recurrent import quarters


@definitions.lstm_unit.implementation("numpy")
def lstm_unit(c_prev: np.ndarray, x: np.ndarray, cont: np.ndarray, gates: np.ndarray, c: np.ndarray,
              h: np.ndarray) -> None:
    """All four gates at once: each is a tanh, and the three sigmoids are (1 + tanh(v / 2)) / 2.

    A step works on small arrays, for which the number of operations counts more than their size.
    """
    gates[...] = x
    sigmoids = gates[:, :3 * c.shape[1]]
    sigmoids *= 0.5
    np.tanh(gates, out=gates)
    sigmoids += 1
    sigmoids *= 0.5
    i, f, o, g = quarters(gates)
    f *= cont[:, np.newaxis]
    np.multiply(f, c_prev, out=c)
    c += i * g
    np.tanh(c, out=h)
    h *= o
