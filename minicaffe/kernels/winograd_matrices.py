"""Winograd's minimal filtering for 3×3 filters: 36 multiplications where the definition takes 144.

A tile of 4×4 outputs comes from a tile of 6×6 pixels. The pixels of a tile and the taps of a filter can both be read as
the coefficients of polynomials. To correlate them is to multiply these polynomials, and a polynomial of degree 5 is
known by its values at 6 points. So three steps give the outputs:

    x̂ = B x Bᵀ,  ŵ = G w Gᵀ      values at the 6 × 6 points
    ŷ = ŵ · x̂                    one matrix product over the channels for each of the 36 points
    y = A ŷ Aᵀ                   back to outputs

(Winograd 1980; Lavin and Gray, CVPR 2016). This module has the matrices, and says when the steps are worth taking. The
engines numpy and numba implement the steps, each in its own way.
"""

from __future__ import annotations

import functools
import math

import numpy as np

TILE, TAPS = 4, 3                     # outputs along a side of a tile, taps along a side of a filter
SIDE = TILE + TAPS - 1                # pixels along a side of a tile
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)  # and infinity
FEWEST_CHANNELS = 64                  # with fewer channels or tiles, the transforms cost more than they save
FEWEST_TILES = 64


def worthwhile(w: np.ndarray, stride: tuple[int, ...], pad: tuple[int, ...], dilation: tuple[int, ...], group: int,
               y: np.ndarray, channels: int = FEWEST_CHANNELS, tiles: int = FEWEST_TILES) -> bool:
    """Return whether the correlation with w that gives y can be computed so, and is large enough to gain by it.

    It is from so many channels and filters of a group on, and from so many tiles.
    """
    if w.shape[2:] != (TAPS, TAPS) or set(stride) | set(dilation) != {1} or max(pad) >= TAPS:
        return False
    found = len(y) * math.prod(-(-o // TILE) for o in y.shape[2:])
    return min(w.shape[1], w.shape[0] // group) >= channels and found >= tiles


@functools.lru_cache(maxsize=1)
def line_matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A (4, 6), B (6, 6) and G (6, 3) for a line of pixels.

    G takes the values of the filter's polynomial. B's row for p holds the coefficients of Π (t − q), over the other
    points q. A evaluates again, and divides by N_p = Π (p − q). The point at infinity reads the leading coefficient.
    The division could stand in any of the three. In A it costs least, since few images have fewer outputs than a filter
    has taps.
    """
    points = np.array(POINTS)
    others = [np.delete(points, i) for i in range(len(points))]
    spread = np.array([np.prod(p - q) for p, q in zip(points, others, strict=True)])
    G = np.vstack([np.vander(points, TAPS, increasing=True), np.eye(TAPS)[-1]])
    B = np.vstack([np.append(np.poly(q)[::-1], 0) for q in others] + [np.poly(points)[::-1]])
    A = np.vstack([np.vander(points, TILE, increasing=True) / spread[:, None], np.eye(TILE)[-1]]).T
    return A, B, G
