"""A net's definition, and the way back from a layer to its line there, for errors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minicaffe import passes
from minicaffe.errors import MinicaffeError, NetError
from minicaffe.passes.filter import is_included
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text
from minicaffe.proto.source import Source


class Location:
    """Where the layers of a definition stand; nowhere for one that was not read from a text."""

    def __init__(self, source: Source | None) -> None:
        self._source = source
        self._definition: Any = None

    @contextmanager
    def in_errors(self, definition: Any) -> Iterator[None]:
        """Give every error raised inside, that names a layer first, the layer's file and line."""
        self._definition = definition
        try:
            yield
        except MinicaffeError as error:
            if not error.where and self._source is not None:
                named = re.match(r"layer (['\"])(.*?)\1", error.message)
                error.where = self.of_layer(named[2]) if named else self._source.filename
            raise

    def of_layer(self, name: str) -> str:
        """'net.prototxt:12', the line of the layer of this name that takes part; '' when it is not known."""
        if self._source is None:
            return ""
        return self._source.layer_where(name, self._rank(name))

    def _rank(self, name: str) -> int:
        """Of several layers of one name (one a phase), the number of the first that the state includes."""
        try:
            upgraded = passes.upgrade(self._definition)
            included = [is_included(layer, upgraded.state) for layer in upgraded.layer if layer.name == name]
            return included.index(True)
        except (MinicaffeError, ValueError):
            return 0


def read(definition: str | os.PathLike[str] | Any) -> tuple[Any, Location]:
    """A copy of the definition that may be changed, and the way back to its lines."""
    net = NetParameter()
    if isinstance(definition, (str, os.PathLike)):
        source = proto_text.read_source(definition)
        proto_text.parse(source.text, net, source.filename)
        return net, Location(source)
    kind = getattr(getattr(definition, "DESCRIPTOR", None), "full_name", type(definition).__name__)
    if kind != net.DESCRIPTOR.full_name:
        raise NetError(f"a net is made from a file name or a NetParameter, not from {kind}")
    net.ParseFromString(definition.SerializePartialToString())  # it may be of another caffe_pb2
    return net, Location(None)

