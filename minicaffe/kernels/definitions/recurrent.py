"""One time step of an LSTM and its gradient, derived in docs/maths/recurrent.md#lstm."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def lstm_unit(c_prev: np.ndarray, x: np.ndarray, cont: np.ndarray, gates: np.ndarray, c: np.ndarray,
              h: np.ndarray) -> None:
    """Open the gates, then update the cell and the hidden state.

    gates = [i, f, o, g] = [σ(x_i), cont · σ(x_f), σ(x_o), tanh(x_g)];  c = f · c_prev + i · g;  h = o · tanh(c)
    x is the z_t of the LSTM layer, and cont its δ_t: 0 where a sequence begins, 1 where it goes on.
    c_prev, c, h (N, D), x and gates (N, 4D), cont (N,). `gates` may be `x`, and `c` may be `c_prev`.
    """
    x_i, x_f, x_o, x_g = quarters(x)
    i, f, o, g = quarters(gates)
    i[...] = 0.5 * (1 + np.tanh(0.5 * x_i))  # σ(v) = (1 + tanh(v / 2)) / 2, which overflows nowhere
    f[...] = 0.5 * (1 + np.tanh(0.5 * x_f)) * cont[:, np.newaxis]
    o[...] = 0.5 * (1 + np.tanh(0.5 * x_o))
    g[...] = np.tanh(x_g)
    c[...] = f * c_prev + i * g
    h[...] = o * np.tanh(c)


@kernel
def lstm_unit_grad(c_prev: np.ndarray, gates: np.ndarray, c: np.ndarray, dc: np.ndarray, dh: np.ndarray,
                   dc_prev: np.ndarray, dx: np.ndarray) -> None:
    """The gradient of `lstm_unit`: dc_prev (N, D) and dx (N, 4D) from dc and dh (N, D). `dc_prev` may be `dc`.

    e = dc + dh · o · (1 − tanh² c);  dc_prev = e · f;
    dx = [e · g · i(1 − i), e · c_prev · f(1 − f), dh · tanh c · o(1 − o), e · i · (1 − g²)]
    """
    i, f, o, g = quarters(gates)
    dx_i, dx_f, dx_o, dx_g = quarters(dx)
    tanh_c = np.tanh(c)
    e = dc + dh * o * (1 - tanh_c * tanh_c)
    dx_i[...] = e * g * i * (1 - i)
    # Caffe: f holds cont, so this is the derivative where cont is 0 or 1, and nowhere else
    dx_f[...] = e * c_prev * f * (1 - f)
    dx_o[...] = dh * tanh_c * o * (1 - o)
    dx_g[...] = e * i * (1 - g * g)
    np.multiply(e, f, out=dc_prev)


def quarters(gates: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the four parts (N, D) of an array (N, 4D), to be read or written: those of i, f, o and g."""
    D = gates.shape[1] // 4
    return tuple(gates[:, k * D:(k + 1) * D] for k in range(4))
