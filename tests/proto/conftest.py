"""Messages drawn from the schema itself, with a fixed seed."""

from __future__ import annotations

import math
import random
import struct

import pytest

from minicaffe import proto

STRINGS = ["", "conv1", "123", "1e-5", "yes", "null", "~", "- a", "a: b", "#c", " lead", "trail ", "two\nlines",
           "tab\t", "q\"'\\", "ünï·漢字", "\U0001f600", "\x85\u2028\ufeff", "\x01\x7f", "!!binary", "*a", "&a", "<<",
           "x" * 300]
FLOATS = [0.0, -0.0, 0.1, 1e-5, 3.0, -1.5, 1e20, 3.4028234663852886e38, 1e-45, math.inf, -math.inf, math.nan,
          16777217.0]
BYTES = [b"", b"plain", b"\xff\x00\x80", bytes(range(256)), b"two\nlines", b"12"]
LIMITS = {5: (-(2**31), 2**31 - 1), 3: (-(2**63), 2**63 - 1), 13: (0, 2**32 - 1), 4: (0, 2**64 - 1)}


def _value(field, rng):
    if field.type in LIMITS:
        low, high = LIMITS[field.type]
        return rng.choice([low, high, 0, 1, 7, rng.randint(low, high)])
    if field.type == 2:
        return rng.choice([*FLOATS, struct.unpack("f", struct.pack("f", rng.gauss(0, 1)))[0]])
    return {
        1: lambda: rng.choice([*FLOATS, rng.gauss(0, 1)]),
        8: lambda: rng.random() < 0.5,
        9: lambda: rng.choice(STRINGS),
        12: lambda: rng.choice(BYTES),
        14: lambda: rng.choice(field.enum_type.values).number,
    }[field.type]()


def _fill(message, rng, depth):
    for field in message.DESCRIPTOR.fields:
        required = field.is_required if hasattr(field, "is_required") else field.label == field.LABEL_REQUIRED
        if not required and rng.random() > (0.5 if depth else 0.7) / (1 + depth):
            continue
        count = rng.choice([1, 1, 2, 3]) if proto.is_repeated(field) else 1
        for _ in range(count):
            target = getattr(message, field.name)
            if field.message_type and proto.is_repeated(field):
                _fill(target.add(), rng, depth + 1)
            elif field.message_type:
                target.SetInParent()
                _fill(target, rng, depth + 1)
            elif proto.is_repeated(field):
                target.append(_value(field, rng))
            else:
                setattr(message, field.name, _value(field, rng))
    return message


@pytest.fixture
def random_message():
    """A function (message name, seed) -> a message with random fields set, some to their defaults."""

    def make(name, seed):
        return _fill(proto.message_class(name)(), random.Random(f"{name} {seed}"), 0)

    return make


@pytest.fixture(scope="session")
def message_names():
    """Every message of Caffe's schema."""
    return list(proto.pool.FindFileByName("caffe.proto").message_types_by_name)
