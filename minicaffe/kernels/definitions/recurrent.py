"""The loops over time of LSTM and RNN, and one time step of an LSTM, derived in docs/maths/recurrent.md.

T is the number of time steps, N that of streams, D that of units. `cont` (T, N) is the δ of the layers: 0 where a
sequence begins, 1 where it goes on. What the input of a step adds to z_t is the same for all steps, so the layers
compute it for all of them at once, before the loop. Only the product with w_h must wait for the step before.
"""

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


@kernel
def lstm(z: np.ndarray, w_h: np.ndarray, cont: np.ndarray, h_0: np.ndarray, c_0: np.ndarray, gates: np.ndarray,
         c: np.ndarray, fed_back: np.ndarray, h: np.ndarray) -> None:
    """Run an LSTM through all time steps, from the states h_0 and c_0 (N, D).

    z        (T, N, 4D), what the inputs add to z_t; w_h (4D, D)
    gates    (T, N, 4D), the gates i, f, o, g of each step; it may be z
    c        (T + 1, N, D), the cells before the first step, and after each
    fed_back (T, N, D), δ_t · h_{t−1}
    h        (T, N, D), the hidden state after each step
    """
    c[0] = c_0
    before = h_0
    for t in range(len(z)):
        fed_back[t] = cont[t, :, np.newaxis] * before  # δ_t · h_{t−1}
        gates[t] = z[t] + fed_back[t] @ w_h.T
        lstm_unit(c[t], gates[t], cont[t], gates=gates[t], c=c[t + 1], h=h[t])
        before = h[t]


@kernel
def lstm_grad(dy: np.ndarray, gates: np.ndarray, c: np.ndarray, w_h: np.ndarray, cont: np.ndarray, limit: float,
              dz: np.ndarray) -> None:
    """The gradient of `lstm`: dz (T, N, 4D) from dy (T, N, D), step by step from the last to the first.

    With a limit above 0, no number of dz is larger than it, or smaller than its negative.
    """
    dh, dc = np.zeros_like(c[0]), np.zeros_like(c[0])
    for t in reversed(range(len(dy))):
        dh += dy[t]  # h_t goes out as y_t and into the next step
        lstm_unit_grad(c[t], gates[t], c[t + 1], dc, dh, dc_prev=dc, dx=dz[t])
        if limit > 0:
            dz[t] = dz[t].clip(-limit, limit)
        dh = cont[t, :, np.newaxis] * (dz[t] @ w_h)


@kernel
def rnn(z: np.ndarray, w_h: np.ndarray, cont: np.ndarray, h_0: np.ndarray, fed_back: np.ndarray,
        h: np.ndarray) -> None:
    """Run h_t = tanh(z_t + w_h (δ_t · h_{t−1})) through all time steps, from the state h_0 (N, D).

    z (T, N, D) is what the inputs add, and w_h is (D, D). fed_back (T, N, D) becomes δ_t · h_{t−1}, and h (T, N, D)
    the hidden state after each step; h may be z.
    """
    before = h_0
    for t in range(len(z)):
        fed_back[t] = cont[t, :, np.newaxis] * before  # δ_t · h_{t−1}
        h[t] = np.tanh(z[t] + fed_back[t] @ w_h.T)
        before = h[t]


@kernel
def rnn_grad(dh: np.ndarray, h: np.ndarray, w_h: np.ndarray, cont: np.ndarray, dz: np.ndarray) -> None:
    """The gradient of `rnn`: dz (T, N, D), step by step from the last to the first; dz may be dh.

    dh (T, N, D) is the gradient of the h_t without what reaches them from later steps, which is added here.
    """
    from_later = np.zeros_like(h[0])
    for t in reversed(range(len(dh))):
        dz[t] = (dh[t] + from_later) * (1 - h[t] * h[t])
        from_later = cont[t, :, np.newaxis] * (dz[t] @ w_h)


def quarters(gates: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the four parts (N, D) of an array (N, 4D), to be read or written: those of i, f, o and g."""
    D = gates.shape[1] // 4
    return tuple(gates[:, k * D:(k + 1) * D] for k in range(4))
