"""Which layer types may be written beyond those that BVLC's Caffe had in its version 1.0."""

from __future__ import annotations

# BVLC added Clip, Swish and Pooling's round_mode after its version 1.0. Older toolchains do not know them.
ROUND_MODE = "Pooling with round_mode"

TYPES: dict[str, frozenset[str]] = {
    "bvlc": frozenset({"Clip", "Swish", ROUND_MODE}),
    "ssd": frozenset({"Permute"}),
    "refinedet": frozenset({"Permute"}),
    "pspnet": frozenset({"Interp"}),
    "jolibrain": frozenset({"Permute", "Interp", "ReLU6"}),
    "mobilenet-yolo": frozenset({"Permute", "ReLU6", "Swish", "Upsample"}),
    "ctpn": frozenset({"Transpose", "Reverse"}),
    "ncnn": frozenset({"Permute", "Interp", "ShuffleChannel", "ReLU6"}),
}


def forks_with(type: str) -> list[str]:
    """Return the dialects that have a layer type."""
    return [fork for fork, types in TYPES.items() if type in types]
