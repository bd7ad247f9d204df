"""Dialects: what the numbers of a binary net mean in each fork of Caffe.

A binary net holds numbers in place of the fields' names, and forks gave different fields the same number. In a layer
147 is BVLC's swish_param, but cascade-rcnn's roi_pooling_param and NVIDIA's forward_math.
dialects.json lists for each fork what differs from our caffe.proto. For a message it has the fork's numbers with our
names of the fields, and for an enum the fork's numbers with our names of the values. An empty name stands for a number
that the fork does not have.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from minicaffe.errors import ProtoError, near_names
from minicaffe.proto import DESCRIPTOR
from minicaffe.proto.forks import (
    CASCADE,
    CRNN,
    CTPN,
    DEEPLAB,
    FLOWNET,
    INTEL,
    JOLIBRAIN,
    NVIDIA,
    RFCN,
    SEGNET,
    SSD,
    TSN,
)

BVLC = "bvlc"
FORKS = {
    "ssd": SSD,
    "refinedet": "the RefineDet fork",
    "frcnn": "the Faster R-CNN fork",
    "rfcn": RFCN,
    "cascade": CASCADE,
    "segnet": SEGNET,
    "pspnet": DEEPLAB,
    "flownet": FLOWNET,
    "nvidia": NVIDIA,
    "intel": INTEL,
    "jolibrain": JOLIBRAIN,
    "mobilenet-yolo": "the MobileNet-YOLO fork",
    "tsn": TSN,
    "ctpn": CTPN,
    "crnn": CRNN,
    "lstm": "the caffe-lstm fork",
    "caffe-face": "the center loss fork (caffe-face)",
    "sphereface": "the SphereFace fork",
    "lisa": "the LRCN fork (lisa-caffe-public)",
    "ncnn": "ncnn's caffe.proto",
    "caffeonspark": "CaffeOnSpark",
    "waifu2x": "the fork of waifu2x-caffe",
}
NAMES = (BVLC, *FORKS)


class Dialect:
    """The meaning of numbers in one dialect, in terms of our descriptors."""

    def __init__(self, name: str, table: dict[str, dict[str, str]]) -> None:
        self.name = name
        self._table = table
        self._fields: dict[Any, dict[int, Any]] = {}
        self._values: dict[Any, dict[int, int]] = {}

    def fields(self, message: Any) -> dict[int, Any]:
        """Return our fields of a message (all are descriptors) by their numbers in this dialect."""
        if message not in self._fields:
            moved = self._table.get(_short(message), {})
            known: dict[int, Any] = dict(message.fields_by_number)
            for number, name in moved.items():
                known.pop(int(number), None)
                if name:
                    known[int(number)] = message.fields_by_name[name]
            self._fields[message] = known
        return self._fields[message]

    def values(self, enum: Any) -> dict[int, int]:
        """Return the numbers of an enum (a descriptor) that are others here, each with our number."""
        if enum not in self._values:
            moved = self._table.get(_short(enum), {})
            self._values[enum] = {int(number): enum.values_by_name[name].number for number, name in moved.items()}
        return self._values[enum]


@cache
def dialect(name: str) -> Dialect:
    """Return the dialect of a name in NAMES; ProtoError for another one."""
    if name not in NAMES:
        raise ProtoError(f"there is no dialect {name!r}; there are {', '.join(NAMES)}",
                         hint=near_names(name, list(NAMES)))
    return Dialect(name, _tables().get(name, {}))


@cache
def _tables() -> dict[str, dict[str, dict[str, str]]]:
    text = resources.files("minicaffe.proto").joinpath("dialects.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, dict[str, str]]] = json.loads(text)
    return found


@cache
def reused(message: str) -> frozenset[int]:
    """Return the numbers of a message's fields that mean something else in one dialect than in another."""
    return frozenset(int(number) for table in _tables().values()
                     for number, name in table.get(message, {}).items() if name)


def _short(descriptor: Any) -> str:
    """Return the name of a message or an enum without its package: 'LossParameter.NormalizationMode'."""
    return str(descriptor.full_name).removeprefix(f"{DESCRIPTOR.package}.")
