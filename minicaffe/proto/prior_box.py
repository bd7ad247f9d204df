"""What the fields of a PriorBoxParameter mean, for the layer and for what looks at its definition alone."""

from __future__ import annotations

from typing import Any

SAME = 1e-6  # aspect ratios that differ by less are one


def ratios_of(p: Any) -> list[float]:
    """Return the aspect ratios other than 1 of a PriorBoxParameter, with the reciprocals where it asks for them."""
    ratios: list[float] = []
    for a in p.aspect_ratio:
        if all(abs(a - known) >= SAME for known in (1, *ratios)):
            ratios += [a, 1 / a] if p.flip else [a]
    return ratios
