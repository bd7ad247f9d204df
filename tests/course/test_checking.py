"""What the checks of all steps use: comparisons and diagnoses."""

import numpy as np
import pytest

from minicaffe.course.checking import UNKNOWN, Draw, Mistake, Wrong, compare, slopes

RIGHT = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.5]])


def diagnosis(got, expected=RIGHT, mistakes=(), **more):
    """What compare says is wrong."""
    with pytest.raises(Wrong) as raised:
        compare("f()", got, expected, mistakes, **more)
    return raised.value


@pytest.mark.parametrize(("got", "name"), [
    (None, "no_numbers"), ("text", "no_numbers"), ([[1.0], [2.0, 3.0]], "no_numbers"),
    (RIGHT[0], "wrong_shape"), (RIGHT.T, "transposed"), (-RIGHT, "sign_turned"), (RIGHT * 0.5, "constant_factor"),
    (np.where(RIGHT > 4.5, np.nan, RIGHT), "not_a_number"), (RIGHT + 1, UNKNOWN), (RIGHT * 0, UNKNOWN)])
def test_kinds_of_mistakes_that_may_happen_anywhere(got, name):
    """Each has its own name where the check knows no better."""
    assert name == diagnosis(got).name


def test_a_factor_below_zero():
    """The hint names the sign, too."""
    assert "-0.5 times" in diagnosis(RIGHT * -0.5).hint
    assert "The sign is turned round" in diagnosis(RIGHT * -0.5).hint
    assert "sign" not in diagnosis(RIGHT * 0.5).hint


def test_the_first_mistake_that_agrees_is_the_diagnosis():
    """Before all kinds that may happen anywhere; up to rounding."""
    mistakes = [Mistake("other", RIGHT + 2, "…"), Mistake("minus", -RIGHT, "the sign"), Mistake("again", -RIGHT, "…")]
    wrong = diagnosis(-RIGHT * (1 + 1e-13), mistakes=mistakes)

    assert ("minus", "the sign") == (wrong.name, wrong.hint)


def test_equal_up_to_rounding():
    """No error for what is right, NaN and lists included; the tolerance may be another one."""
    compare("f()", RIGHT * (1 + 1e-12), RIGHT)
    compare("f()", [np.nan, 1], np.array([np.nan, 1]))
    compare("f()", RIGHT * (1 + 1e-7), RIGHT, tolerance=1e-6)
    assert UNKNOWN == diagnosis(np.where(RIGHT == 3, 3 * (1 + 1e-7), RIGHT)).name


def test_large_arrays_are_told_by_the_first_number_that_differs():
    """With its place, and how many differ."""
    right = np.arange(30.0).reshape(5, 6)
    got = right.copy()
    got[3, 4], got[4, 1] = 0.5, 7
    wrong = diagnosis(got, right)

    assert ("0.5 at [3, 4], and 2 of 30 numbers differ", "22") == (wrong.got, wrong.expected)


def test_numbers_are_drawn_from_the_seed_and_the_name():
    """The same ones each time; sizes do not repeat, and no number is 0."""
    one, two, other = Draw(1, "check_a"), Draw(1, "check_a"), Draw(1, "check_b")
    numbers = one.numbers(4, 5)

    assert np.array_equal(numbers, two.numbers(4, 5))
    assert not np.array_equal(numbers, other.numbers(4, 5))
    assert all(len(set(one.sizes(4))) == 4 for _ in range(50))
    assert np.abs(one.numbers(1000)).min() >= 0.01


def test_slopes_by_difference_quotients():
    """Of a function of an array."""
    assert np.allclose(slopes(lambda x: float((x ** 3).sum()), RIGHT), 3 * RIGHT ** 2, rtol=1e-6)
