"""The gradients of the parts of one process are added in the tree of halves, bit by bit."""

import itertools

import numpy as np
import pytest
from thread_group import total

from minicaffe import Blob
from minicaffe.solvers.schedule.tree import GradientSum


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_parts_that_write_no_gradient_count_as_zeros(count):
    """A layer may write its diff in some parts only. −0 + 0 is 0, whichever process has the part without a gradient."""
    for written in itertools.product([None, -0.0, 1e-7, -1.0], repeat=count):
        blob, gradients = Blob([3]), GradientSum(count)
        for part, value in enumerate(written):
            blob.clear_diff()
            if value is not None:
                blob.diff[...] = value
            gradients.add(part, [blob], [0])

        wanted = total([np.full(3, 0 if value is None else value, np.float32) for value in written])
        assert wanted.tobytes() == blob.diff.tobytes(), written
