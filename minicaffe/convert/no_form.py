"""The error for layers whose type another program does not have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from minicaffe.errors import LayerError


def no_form(layers: Sequence[str], other: str, made: str, cut: Iterable[str], where: str) -> LayerError:
    """Return the error that names all these layers, and where to end the net before them.

    layers  in words, the first one as it is named after "layer"
    other   the program, such as ONNX
    made    what is written for it, such as "the model"
    cut     the blobs at which the net can end; none where nothing is computed before the layers
    """
    first, *more = layers
    blobs = ",".join(cut)
    way_out = f"--outputs {blobs} ends {made} before it; compute the rest outside"
    return LayerError(f"layer {first} has no form in {other}" + (f"; nor has {', '.join(more)}" if more else ""),
                      where=where, hint=way_out if blobs else "nothing can be computed before it")
