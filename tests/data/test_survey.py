"""The numbers of a survey, against numpy's on all samples at once."""

import numpy as np
import pytest

from minicaffe.data.batches import Sample
from minicaffe.data.survey import Moments, spread, survey
from minicaffe.errors import DataError


class Listed:
    """Samples from a list, in which an error stands for itself."""

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def load(self, numbers):
        return [self.samples[k] for k in numbers]


def test_moments_of_large_numbers_with_a_small_spread():
    """Numbers far from 0 keep the digits of their deviation; sums of squares would lose them all."""
    x = 1e8 + np.random.default_rng(1).standard_normal((2, 300))
    made = Moments(2)
    for part in np.array_split(x, 7, axis=1):
        made.add(part)

    np.testing.assert_allclose(made.mean, x.mean(axis=1), rtol=1e-15)
    np.testing.assert_allclose(made.deviation, x.std(axis=1), rtol=1e-6)


def test_images_of_several_sizes():
    """A mean is over pixels, so a large image weighs more; grey and colour are kept apart."""
    images = [np.full((3, 2, 4), 10, np.uint8), np.full((3, 5, 1), 40, np.uint8), np.full((1, 2, 2), 7, np.uint8)]
    found = survey(Listed([Sample(str(i), str(i), x, i) for i, x in enumerate(images)]), range(3))

    assert pytest.approx([(8 * 10 + 5 * 40) / 13] * 3) == found.moments[3].mean.tolist()
    assert [7.0] == found.moments[1].mean.tolist()
    assert {(3, 2, 4): 1, (3, 5, 1): 1, (1, 2, 2): 1} == found.shapes


def test_bad_samples_and_duplicates():
    """A bad sample counts as read. The same numbers in another shape are no double."""
    x = np.arange(12, dtype=np.uint8)
    samples = [Sample("a", "a", x.reshape(1, 3, 4), 0), DataError("no"), Sample("b", "b", x.reshape(1, 4, 3), 0),
               Sample("c", "c", x.reshape(1, 3, 4).copy(), 1)]
    found = survey(Listed(samples), range(4), find_duplicates=True)

    assert (4, [1]) == (found.read, [number for number, _ in found.unreadable])
    assert [[("a", 0), ("c", 1)]] == found.duplicates
    assert [] == survey(Listed(samples), range(4)).duplicates


@pytest.mark.parametrize(("count", "limit", "run"), [(10, 20, 3), (1000, 100, 5), (1001, 100, 40), (50, 1, 40),
                                                     (101, 100, 1), (5000, 40, 40)])
def test_spread(count, limit, run):
    """No number twice, none too large, about as many as asked for, and the ends are among them."""
    numbers = spread(count, limit, run)

    assert sorted(set(numbers)) == numbers
    assert 0.9 * min(count, limit) <= len(numbers) <= limit or count <= limit
    assert numbers[0] == 0
    assert numbers[-1] == count - 1 or limit == 1
