"""One time step of an LSTM and its gradient."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def lstm_unit(c_prev: np.ndarray, x: np.ndarray, cont: np.ndarray, gates: np.ndarray, c: np.ndarray,
              h: np.ndarray) -> None:
    """Open the gates, then update the cell and the hidden state.

    gates = [i, f, o, g] = [σ(x_i), cont · σ(x_f), σ(x_o), tanh(x_g)];  c = f · c_prev + i · g;  h = o · tanh(c)
    c_prev, c, h (N, D), x and gates (N, 4D), cont (N,). `gates` may be `x`, and `c` may be `c_prev`.
    """
    raise NotImplementedError


@kernel
def lstm_unit_grad(c_prev: np.ndarray, gates: np.ndarray, c: np.ndarray, dc: np.ndarray, dh: np.ndarray,
                   dc_prev: np.ndarray, dx: np.ndarray) -> None:
    """The gradient of `lstm_unit`: dc_prev (N, D) and dx (N, 4D) from dc and dh (N, D). `dc_prev` may be `dc`.

    dc' = dc + dh · o · (1 − tanh² c);  dc_prev = dc' · f;
    dx = [dc' · g · i(1 − i), dc' · c_prev · f(1 − f), dh · tanh c · o(1 − o), dc' · i · (1 − g²)]
    """
    raise NotImplementedError
