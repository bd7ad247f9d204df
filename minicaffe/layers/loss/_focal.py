"""Sigmoid cross entropy with pos_weight=α and focal_gamma=γ, for SigmoidCrossEntropyLoss, from docs/maths/loss.md.

With p = σ(x), the probability of yes, and q = 1 − p, that of no:

    l     = −α · t · q^γ · log p − (1 − t) · p^γ · log q
    ∂l/∂x = −α · t · q^γ · (q − γ · p · log p) + (1 − t) · p^γ · (p − γ · q · log q)

α above 1 makes each yes count more, where there are few of them. γ makes the cells count less that are already right:
there the factor q^γ (of a yes) or p^γ (of a no) is small. α = 1 and γ = 0 give the plain cross entropy.
"""

import numpy as np

from minicaffe.layers.loss._cells import times


def focal_loss(x, t, alpha, gamma):
    """Return l of each cell."""
    log_p, log_q = log_sigmoid(x), log_sigmoid(-x)
    return (-alpha * times(t, power(log_q, gamma) * log_p)
            - times(1 - t, power(log_p, gamma) * log_q))


def focal_slope(x, t, alpha, gamma):
    """Return ∂l/∂x of each cell."""
    log_p, log_q = log_sigmoid(x), log_sigmoid(-x)
    p, q = np.exp(log_p), np.exp(log_q)
    return ((1 - t) * power(log_p, gamma) * (p - gamma * times(q, log_q))
            - alpha * t * power(log_q, gamma) * (q - gamma * times(p, log_p)))


def log_sigmoid(x):
    """Return log σ(x) = −log(1 + exp(−x)).

    The logarithm of p = σ(x) itself would lose digits, for p rounds to 1 already for moderate x.
    """
    return -np.logaddexp(0, -x)


def power(log_p, gamma):
    """Return p^γ from log p; 1 for γ = 0, also where p is 0."""
    return np.exp(gamma * log_p) if gamma else 1.0
