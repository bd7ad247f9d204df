"""Winograd's minimal filtering: 36 multiplications for a tile of 6×6 pixels, where the definition takes 100 and more.

A filter of 3×3 taps has 4×4 outputs on such a tile, which take 144 multiplications by the definition. One of 5×5 taps
has 2×2, which take 100. The pixels of a tile and the taps of a filter can both be read as the coefficients of
polynomials. To correlate them is to multiply these polynomials, and a polynomial of degree 5 is known by its values at
6 points. So three steps give the outputs:

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

SIDE = 6                              # pixels along a side of a tile
TAPS, TILE = 3, 4                     # taps along a side of a filter, and its outputs along a side of a tile
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)  # and infinity
FEWEST_CHANNELS = 64                  # with fewer channels or tiles, the transforms cost more than they save
FEWEST_TILES = 64


def worthwhile(w: np.ndarray, stride: tuple[int, ...], pad: tuple[int, ...], dilation: tuple[int, ...], group: int,
               y: np.ndarray, channels: int = FEWEST_CHANNELS, tiles: int = FEWEST_TILES, taps: int = TAPS) -> bool:
    """Return whether the correlation with w that gives y can be computed so, and is large enough to gain by it.

    It is from so many channels and filters of a group on, and from so many tiles.
    """
    if w.shape[2:] != (taps, taps) or set(stride) | set(dilation) != {1} or max(pad) >= taps:
        return False
    found = len(y) * math.prod(-(-o // outputs(taps)) for o in y.shape[2:])
    return min(w.shape[1], w.shape[0] // group) >= channels and found >= tiles


def outputs(taps: int) -> int:
    """Return how many outputs a filter with so many taps along a side has along a side of a tile."""
    return SIDE + 1 - taps


@functools.lru_cache(maxsize=2)
def line_matrices(taps: int = TAPS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A (outputs, 6), B (6, 6) and G (6, taps) for a line of pixels.

    G takes the values of the filter's polynomial. B's row for p holds the coefficients of Π (t − q), over the other
    points q. A evaluates again, and divides by N_p = Π (p − q). The point at infinity reads the leading coefficient.
    B is the same for filters of any size.
    The division could stand in any of the three. In A it costs least, since few images have fewer outputs than a filter
    has taps.
    """
    points = np.array(POINTS)
    others = [np.delete(points, i) for i in range(len(points))]
    spread = np.array([np.prod(p - q) for p, q in zip(points, others, strict=True)])
    G = np.vstack([np.vander(points, taps, increasing=True), np.eye(taps)[-1]])
    B = np.vstack([np.append(np.poly(q)[::-1], 0) for q in others] + [np.poly(points)[::-1]])
    tile = outputs(taps)
    A = np.vstack([np.vander(points, tile, increasing=True) / spread[:, None], np.eye(tile)[-1]]).T
    return A, B, G
