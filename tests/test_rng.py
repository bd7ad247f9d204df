"""Random numbers of samples and of passes: what they follow from, and that they look random. All seeds are fixed."""

import hashlib

import numpy as np
import pytest

from minicaffe import rng
from minicaffe.rng import PassDraws, SampleDraws

SEEDS = [0, 1, 1701, 2**63 - 1]


def units(seed, epochs, numbers, what="mirror"):
    return SampleDraws(seed, epochs, numbers).unit(what)


def check_even(*values, bins):
    """Points (values of 0 to 1 on each axis) fall into all boxes of a grid equally often: χ² within five deviations."""
    boxes = np.zeros(len(values[0]), int)
    for value in values:
        boxes = boxes * bins + (value * bins).astype(int)
    counts = np.bincount(boxes, minlength=bins ** len(values))
    expected = len(boxes) / len(counts)
    chi2, freedom = ((counts - expected) ** 2 / expected).sum(), len(counts) - 1

    assert abs(chi2 - freedom) < 5 * np.sqrt(2 * freedom)


# --- samples --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("what", ["mirror", "top", "left"])
def test_samples_draw_evenly(seed, what):
    """Over the samples of an epoch, and over the epochs of a sample, all numbers from 0 to 1 are equally likely."""
    line = np.arange(100_000)
    for drawn in (units(seed, 0 * line, line, what), units(seed, line, 0 * line + 17, what)):
        assert 0 <= drawn.min() < drawn.max() < 1
        check_even(drawn, bins=100)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_sample_draws_is_independent(seed):
    """A draw says nothing about another choice, about the next sample, the next epoch or the next seed."""
    line = np.arange(100_000)
    here = units(seed, 0 * line, line)
    for other in (units(seed, 0 * line, line, "top"), units(seed, 0 * line, line + 1), units(seed, 0 * line + 1, line),
                  units(seed + 1, 0 * line, line), units(seed, line, 0 * line)):
        check_even(here, other, bins=20)
    check_even(here, units(seed, 0 * line, line, "top"), units(seed, 0 * line, line, "left"), bins=7)


def test_no_pattern_comes_again():
    """Among 1000 samples in 1000 epochs no number is drawn twice, and no epoch's mirrors are another's."""
    epochs, numbers = (grid.ravel() for grid in np.meshgrid(np.arange(1000), np.arange(1000), indexing="ij"))
    drawn = units(3, epochs, numbers)
    mirrors = SampleDraws(3, epochs, numbers).below(2, "mirror").reshape(1000, 1000)

    assert 1_000_000 == len(np.unique(drawn))
    # of two epochs half of the 1000 mirrors agree, and no pair of a million strays by more than six deviations
    agree = mirrors @ mirrors.T + (1 - mirrors) @ (1 - mirrors.T)
    assert np.abs(agree[~np.eye(1000, dtype=bool)] - 500).max() < 6 * np.sqrt(250)


def test_each_bit_of_what_a_draw_follows_from_counts():
    """A single bit in the seed, the epoch or the number changes half of the bits of a draw."""
    line = np.arange(20_000)

    def bits(seed, epoch, number):
        return (units(seed, 0 * line + epoch, line ^ number) * 2.0**53).astype(np.uint64)

    before = bits(5, 9, 0)
    for changed in (bits(5 ^ 1 << 40, 9, 0), bits(4, 9, 0), bits(5, 8, 0), bits(5, 9 ^ 1 << 20, 0), bits(5, 9, 1),
                    bits(5, 9, 1 << 30)):
        flipped = np.unpackbits((before ^ changed).view(np.uint8)).mean() * 64 / 53
        assert abs(flipped - 0.5) < 5 * 0.5 / np.sqrt(53 * len(line))


def test_a_sample_draws_the_same_in_any_batch():
    """What a sample gets depends neither on the batch nor on its place in it; epoch and number are not exchangeable."""
    epochs, numbers = np.array([0, 0, 1, 1, 2]), np.array([7, 8, 0, 1, 2])
    whole, turned = SampleDraws(11, epochs, numbers), SampleDraws(11, epochs[::-1], numbers[::-1])
    alone = SampleDraws(11, [1], [0])

    np.testing.assert_array_equal(whole.unit("top"), turned.unit("top")[::-1])
    assert whole.unit("top")[2] == alone.unit("top")[0]
    assert units(11, [3], [5]) != units(11, [5], [3])
    assert whole.below(np.array([1, 2, 3, 4, 5]), "top").tolist() == [
        int(unit * bound) for unit, bound in zip(whole.unit("top"), [1, 2, 3, 4, 5], strict=True)]


# --- passes ---------------------------------------------------------------------------------------------------------


def first(place, layer="drop", count=1):
    draws = PassDraws()
    with draws.during(*place):
        return draws.of(layer).random(count)


def test_a_pass_and_a_layer_say_what_is_drawn():
    """The same place gives the same numbers, whatever was drawn before; each other place and layer gives others."""
    places = [(1701, 4, 0, 0), (1702, 4, 0, 0), (1701, 5, 0, 0), (1701, 4, 1, 0), (1701, 4, 0, 1), (1701, 40, 0)]
    found = [tuple(first(place, count=3)) for place in places] + [tuple(first(places[0], "other", 3))]
    assert len(found) == len(set(found))

    assert found[0] == tuple(first(np.array(places[0]), count=3))

    draws = PassDraws()
    for place, expected in zip(places, found, strict=False):
        with draws.during(*place):
            draws.of("other").random(1000)
            assert expected == (draws.of("drop").random(), draws.of("drop").random(), draws.of("drop").random())


def test_a_name_of_any_characters_draws_the_same_in_all_versions_of_python():
    """The state is a hash of ASCII text, for older versions of Python hold newer characters for unprintable."""
    text = rb"(9, 4, 1, 0, 'f\xfcr \u6c34 \U0001fae8 \ud800')"
    word = int.from_bytes(hashlib.blake2b(text, digest_size=32).digest()[:16], "little")
    draws = PassDraws()
    with draws.during(9, 4, 1, 0):
        found = draws.of("für 水 \U0001fae8 \ud800")

    assert word == found.bit_generator.state["state"]["state"]


def test_outside_a_pass_the_process_draws():
    """Between passes, after an error in one, and without a seed, numbers come from the process's generator."""
    draws = PassDraws()
    assert draws.of("drop") is rng.generator()
    with draws.during(None, 3):
        assert draws.of("drop") is rng.generator()
    before = rng.state()
    with pytest.raises(ZeroDivisionError), draws.during(1, 2):
        1 // int(draws.of("drop").random())  # below 1, so 0
    assert draws.of("drop") is rng.generator()
    assert before == rng.state()


@pytest.mark.parametrize("vary", ["seed", "update", "part", "layer"])
def test_passes_draw_evenly_and_independently(vary):
    """The first numbers of 20,000 passes are even, and those of neighbours independent."""
    drawn = np.array([first((n if vary == "seed" else 1701, n if vary == "update" else 7, n if vary == "part" else 0),
                            str(n) if vary == "layer" else "drop", 2) for n in range(20_000)])

    check_even(drawn[:, 0], bins=100)
    check_even(drawn[:, 0], drawn[:, 1], bins=10)
    check_even(drawn[:-1, 0], drawn[1:, 0], bins=10)


def test_what_is_upcoming_is_not_drawn():
    """`upcoming` is the next number, and the generator still draws it afterwards."""
    rng.seed(8)
    told = rng.upcoming()

    assert told == rng.upcoming() == int(rng.generator().integers(2**63))
    assert told != rng.upcoming()
