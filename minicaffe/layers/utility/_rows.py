"""What Concat and Slice share: a blob as a matrix whose columns they join and cut."""

import math


def rows(a, axis):
    """An array as a matrix: a row for each place of the axes before `axis`, in it all behind."""
    return a.reshape(math.prod(a.shape[:axis]), math.prod(a.shape[axis:]))
