"""The base of the layers that scripts write for pycaffe, where its name is `caffe.Layer`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicaffe.blob import Blob, BlobVec


class ScriptLayer:
    """What a script's layer finds on itself: as little as in Caffe, so that any other name is the script's own.

    A net that has such a layer runs `setup(bottom, top)` once, and later `reshape(bottom, top)`, `forward(bottom, top)`
    and `backward(top, propagate_down, bottom)`.

    blobs        the learnable Blobs; `self.blobs.add_blob(*shape)` makes one
    param_str    the text of python_param.param_str; old versions of Caffe call it param_str_
    phase        TRAIN or TEST, as an int
    name         the layer's name, if the class has no `name` of its own

    The last three are there from `setup` on.
    """

    type = "Python"
    __blobs: BlobVec

    def __new__(cls, *args: Any, **named: Any) -> Any:
        # not in __init__: a script's class may have one that does not call this one
        made = super().__new__(cls)
        made.__blobs = BlobVec()
        return made

    def __init__(self, param: Any = None) -> None:
        """Take the LayerParameter, which classes with a constructor of their own hand on. Nothing is done with it."""

    @property
    def blobs(self) -> BlobVec:
        """The learnable blobs of the layer."""
        return self.__blobs

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Read the parameters once; make the learnable blobs."""

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Shape the tops from the bottoms. Runs before every forward."""
        raise NotImplementedError(f"{type(self).__name__} has no reshape")
