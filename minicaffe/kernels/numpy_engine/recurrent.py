"""One time step of an LSTM and its gradient."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions import recurrent as definitions


@definitions.lstm_unit.implementation("numpy")
def lstm_unit(c_prev: np.ndarray, x: np.ndarray, cont: np.ndarray, gates: np.ndarray, c: np.ndarray,
              h: np.ndarray) -> None:
    """Open the gates, then update the cell and the hidden state.

    gates = [i, f, o, g] = [σ(x_i), cont · σ(x_f), σ(x_o), tanh(x_g)];  c = f · c_prev + i · g;  h = o · tanh(c)
    c_prev, c, h (N, D), x and gates (N, 4D), cont (N,). `gates` may be `x`, and `c` may be `c_prev`.
    """
    D = c.shape[1]
    gates[...] = x
    sigmoids = gates[:, :3 * D]
    sigmoids *= 0.5  # σ(v) = (1 + tanh(v / 2)) / 2, which overflows nowhere
    np.tanh(gates, out=gates)
    sigmoids += 1
    sigmoids *= 0.5
    i, f, o, g = _split(gates)
    f *= cont[:, np.newaxis]
    np.multiply(f, c_prev, out=c)
    c += i * g
    np.tanh(c, out=h)
    h *= o


@definitions.lstm_unit_grad.implementation("numpy")
def lstm_unit_grad(c_prev: np.ndarray, gates: np.ndarray, c: np.ndarray, dc: np.ndarray, dh: np.ndarray,
                   dc_prev: np.ndarray, dx: np.ndarray) -> None:
    """The gradient of `lstm_unit`: dc_prev (N, D) and dx (N, 4D) from dc and dh (N, D). `dc_prev` may be `dc`.

    dc' = dc + dh · o · (1 − tanh² c);  dc_prev = dc' · f;
    dx = [dc' · g · i(1 − i), dc' · c_prev · f(1 − f), dh · tanh c · o(1 − o), dc' · i · (1 − g²)]
    """
    i, f, o, g = _split(gates)
    dx_i, dx_f, dx_o, dx_g = _split(dx)
    tanh_c = np.tanh(c)
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    dx_i[...] = dc * g * i * (1 - i)
    # Caffe: f holds cont, so this is the derivative where cont is 0 or 1, and nowhere else
    dx_f[...] = dc * c_prev * f * (1 - f)
    dx_o[...] = dh * tanh_c * o * (1 - o)
    dx_g[...] = dc * i * (1 - g * g)
    np.multiply(dc, f, out=dc_prev)


def _split(gates: np.ndarray) -> tuple[np.ndarray, ...]:
    D = gates.shape[1] // 4
    return tuple(gates[:, k * D:(k + 1) * D] for k in range(4))
