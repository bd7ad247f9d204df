"""Following a function line by line: loops, arrays with several names, and what is not stepped into."""

import sys

import numpy as np
import pytest

from minicaffe.trace.code import equations
from minicaffe.trace.tracer import Tracer


def doubled(x, out):
    np.multiply(x, 2, out=out)


def helper(x):
    return x.reshape(-1)


def loop(x, rounds):
    total = 0
    for i in range(rounds):
        x += i
        total += i
    return total


def nested(x, rounds):
    for i in range(rounds):
        j = 0
        while j < 5:
            x[j] = i
            j += 1
    return x


def views(x):
    first = x[0]
    flat = helper(x)
    first += 1
    doubled(flat, out=flat)
    y = np.empty(2)
    y[...] = flat[:2]
    return (y
            + 1)


def fails(x):
    for i in range(9):
        x[i] = i


def steps_of(function, *args):
    tracer = Tracer([__file__], {function.__name__})
    with tracer.watching():
        function(*args)
    return tracer.steps


def lines(steps):
    """The steps as (line within the function, what it wrote, rounds that were left out)."""
    return [(step.line - step.function.first, {name: text if array is None else array.tolist()
                                               for name, array, text in step.new}, step.skipped) for step in steps]


def test_arguments_stand_at_the_def_line_and_values_at_the_line_that_wrote_them():
    steps = steps_of(loop, np.zeros(2, np.float32), 1)
    assert lines(steps) == [(0, {"x": [0, 0], "rounds": "1"}, 0), (1, {"total": "0"}, 0), (2, {"i": "0"}, 0),
                            (3, {"x": [0, 0]}, 0), (4, {"total": "0"}, 0), (5, {}, 0)]


@pytest.mark.parametrize("rounds", [0, 1, 2, 3, 4, 50])
def test_a_loop_keeps_two_rounds_and_the_last(rounds):
    steps = lines(steps_of(loop, np.zeros(2, np.float32), rounds))
    kept = [int(new["i"]) for line, new, skipped in steps if line == 2 and not skipped]
    assert kept == (list(range(rounds)) if rounds <= 3 else [0, 1, rounds - 1])
    assert [skipped for _, _, skipped in steps if skipped] == ([rounds - 3] if rounds > 3 else [])
    if rounds:
        assert steps[-2] == (4, {"total": str(sum(range(rounds)))}, 0)  # after all rounds, also those left out
    assert steps[-1][0] == 5


def test_a_loop_in_a_loop_is_cut_in_each_kept_round():
    steps = lines(steps_of(nested, np.zeros(5, np.float32), 7))
    assert [skipped for _, _, skipped in steps if skipped] == [2, 2, 4, 2]
    assert [int(new["i"]) for line, new, skipped in steps if line == 1 and not skipped] == [0, 1, 6]


def test_one_array_stands_under_one_name_and_a_line_that_calls_stands_on_both_sides_of_what_it_calls():
    x = np.ones((2, 2), np.float32)
    steps = steps_of(views, x)
    found = lines(steps)
    assert found[1] == (1, {"first": [1, 1]}, 0)
    assert found[2] == (2, {"flat": [1, 1, 1, 1]}, 0)  # helper only returns: it is not stepped into
    assert found[3] == (3, {"first": [2, 2]}, 0)
    calling = [i for i, step in enumerate(steps) if step.calls]
    assert [steps[i].line for i in calling] == [steps[0].function.first + 4]
    inner = [step for step in steps if step.depth == 1]
    assert {step.function.name for step in inner} == {"doubled"}
    after = steps[calling[0] + len(inner) + 1]
    assert (after.line, [name for name, *_ in after.new]) == (steps[calling[0]].line, ["flat"])
    assert after.new[0][1].tolist() == [4, 4, 2, 2]


def test_memory_that_is_not_filled_yet_is_not_shown():
    found = lines(steps_of(views, np.ones((2, 2), np.float32)))
    assert (5, {"y": "not filled yet"}, 0) in found
    assert (6, {"y": [4, 4]}, 0) in found


def test_a_statement_of_several_lines_is_one_step():
    steps = steps_of(views, np.ones((2, 2), np.float32))
    assert [step.line - step.function.first for step in steps if step.depth == 0][-1] == 7
    assert len([step for step in steps if step.line - step.function.first >= 7]) == 1


def test_an_error_ends_the_tracing():
    before = sys.gettrace()
    tracer = Tracer([__file__], {"fails"})
    with pytest.raises(IndexError), tracer.watching():
        fails(np.zeros(3))
    assert sys.gettrace() is before


def test_left_sides_of_formulas():
    found = equations("dw_x += Σ dz_t x_tᵀ,  dc_{t−1} = e · f,  v′ ← v   over k, i, o with o·s = q")
    assert found == [("dw_x", "Σ dz_t x_tᵀ"), ("dc", "e · f"), ("v", "v")]
    assert equations("y[n, k] = b[k] + Σ w[k, c]   over c = 0 … K") == [("y", "b[k] + Σ w[k, c]")]
