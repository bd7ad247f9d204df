"""The way back from a layer to its line in the definition, for errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minicaffe import passes
from minicaffe.errors import LayerError, MinicaffeError, NetError
from minicaffe.passes.filter import is_included
from minicaffe.proto.source import Source


class Location:
    """Where the layers of a definition stand; nowhere for one that was not read from a text."""

    def __init__(self, source: Source | None) -> None:
        self._source = source
        self._definition: Any = None

    @contextmanager
    def in_errors(self, definition: Any) -> Iterator[None]:
        """Give every NetError and LayerError raised inside, that names a layer first, the layer's file and line."""
        self._definition = definition
        try:
            yield
        except (NetError, LayerError) as error:
            if not error.where and self._source is not None:
                named = re.match(r"layer (['\"])(.*?)\1", error.message)
                error.where = self.of_layer(named[2]) if named else self._source.filename
            raise

    def of_layer(self, name: str) -> str:
        """'net.prototxt:12', the line of the layer of this name that takes part; '' when it is not known."""
        if self._source is None:
            return ""
        lines = [line for _, known, line in self._source.layer_lines() if known == name]
        if len(lines) > 1:
            lines = lines[self._rank(name):] or lines
        return f"{self._source.filename}:{lines[0]}" if lines else self._source.filename

    def _rank(self, name: str) -> int:
        """Of several layers of one name (one a phase), the number of the first that the state includes."""
        try:
            upgraded = passes.upgrade(self._definition)
            included = [is_included(layer, upgraded.state) for layer in upgraded.layer if layer.name == name]
            return included.index(True)
        except (MinicaffeError, ValueError):
            return 0
