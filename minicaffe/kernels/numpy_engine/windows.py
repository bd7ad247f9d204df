"""Where a sliding window touches its input: the arithmetic that all windowed kernels share."""

from __future__ import annotations

from collections.abc import Sequence

Slices = tuple[slice, ...]


def reach(offset: int, inputs: int, outputs: int, stride: int) -> tuple[slice, slice]:
    """The outputs o whose input o·stride + offset exists, and those inputs, as two slices of one length."""
    first = max(0, -(offset // stride))
    end = min(outputs, (inputs - 1 - offset) // stride + 1)
    if end <= first:
        return slice(0, 0), slice(0, 0)
    return slice(first, end), slice(first * stride + offset, (end - 1) * stride + offset + 1, stride)


def reach_all(offsets: Sequence[int], inputs: Sequence[int], outputs: Sequence[int],
              stride: Sequence[int]) -> tuple[Slices, Slices]:
    """`reach` on every axis: the slices of the outputs, and those of the inputs."""
    pairs = [reach(*each) for each in zip(offsets, inputs, outputs, stride, strict=True)]
    return tuple(out for out, _ in pairs), tuple(into for _, into in pairs)
