"""Sigmoid cross entropy under pos_weight=α and focal_gamma=γ, from docs/maths/loss.md.

With p = σ(x), the probability of yes, and q = 1 − p, that of no:

    l     = −α · t · q^γ · log p − (1 − t) · p^γ · log q
    ∂l/∂x = −α · t · q^γ · (q − γ · p · log p) + (1 − t) · p^γ · (p − γ · q · log q)

α makes each yes count more, because there are few of them. γ turns down the cells that are already right, for there
the factor q^γ (of a yes) or p^γ (of a no) is small. α = 1 and γ = 0 give the plain cross entropy.
"""

import numpy as np

from minicaffe.layers.loss._cells import times


def focal_loss(x, t, alpha, gamma):
    """l of each cell."""
    log_p, log_q = log_sigmoid(x), log_sigmoid(-x)
    return (-alpha * times(t, power(log_q, gamma) * log_p)
            - times(1 - t, power(log_p, gamma) * log_q))


def focal_slope(x, t, alpha, gamma):
    """∂l/∂x of each cell."""
    log_p, log_q = log_sigmoid(x), log_sigmoid(-x)
    p, q = np.exp(log_p), np.exp(log_q)
    return ((1 - t) * power(log_p, gamma) * (p - gamma * times(q, log_q))
            - alpha * t * power(log_q, gamma) * (q - gamma * times(p, log_p)))


def log_sigmoid(x):
    """log σ(x) = −log(1 + exp(−x)), which neither overflows nor loses digits: p itself would round to 0 and to 1."""
    return -np.logaddexp(0, -x)


def power(log_p, gamma):
    """p^γ from log p; 1 for γ = 0, also where p is 0."""
    return np.exp(gamma * log_p) if gamma else 1.0
