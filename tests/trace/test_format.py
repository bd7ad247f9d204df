"""The data of a page: numbers survive exactly, and the example obeys the format."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from minicaffe.trace import format as trace_format

EXAMPLE = Path(__file__).with_name("example.json")
VALUES = np.array([0.1, -1 / 3, 1e-42, 3.4e38, 16777217, -0.0, 7, 1e-7], np.float32)


@pytest.mark.parametrize("value", VALUES)
def test_a_number_comes_back_bit_for_bit(value):
    back = np.float32(trace_format.number_of(json.loads(json.dumps(trace_format.exact(value)))))
    assert back.tobytes() == value.tobytes()


def test_what_is_no_number_is_a_word():
    assert [trace_format.exact(np.float32(v)) for v in (math.nan, math.inf, -math.inf)] == \
        ["NaN", "Infinity", "-Infinity"]
    assert math.isnan(trace_format.number_of("NaN"))
    assert trace_format.number_of("-Infinity") == -math.inf


def test_the_example_has_exactly_the_keys_that_the_docstring_names():
    example = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    assert all(f"\n    {key}" in trace_format.__doc__ for key in example)
