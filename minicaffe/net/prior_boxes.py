"""The boxes of TextBoxes and FaceBoxes: their forks lay others than SSD's, and the net's channels alone say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minicaffe.log import At, log
from minicaffe.proto.prior_box import ratios_of

THROUGH = ("Concat", "Flatten", "Permute", "Reshape")  # what stands between a convolution and DetectionOutput
FACES = 21  # boxes of a cell for the three sizes 32, 64 and 128: 4 · 4 + 2 · 2 + 1


def tell_apart(net: Any) -> None:
    """Set the fields of the PriorBox layers whose boxes are those of TextBoxes or FaceBoxes.

    The convolution beside a PriorBox has four channels for each of its boxes. Only where these do not fit the boxes
    that SSD would lay, but those of one of the two forks, is anything set.
    """
    made: dict[str, Any] = {}  # each blob's last layer
    for layer in net.layer:
        if layer.type == "DetectionOutput" and len(layer.bottom) >= 3 and layer.detection_output_param.share_location:
            _compare(_sources(layer.bottom[0], made), _sources(layer.bottom[2], made))
        made.update(dict.fromkeys(layer.top, layer))


def _compare(convolutions: list[Any], priors: list[Any]) -> None:
    """Set the fields where the channels of the convolutions ask for it."""
    if len(convolutions) != len(priors) or not all(_is_plain(layer) for layer in priors):
        return
    given = [layer.convolution_param.num_output for layer in convolutions]
    params = [layer.prior_box_param for layer in priors]
    usual = [4 * _count(p) for p in params]
    if given == usual:
        return
    if given == [2 * count for count in usual] and all(len(p.min_size) == 1 for p in params):  # that fork has no more
        for p in params:  # the second boxes lie half a cell lower
            p.offset_h[:], p.offset_w[:] = [0.5, 1], [0.5, 0.5]
            p.clip = p.clip or not p.HasField("clip")  # which is true in that fork
        _say(priors, "TextBoxes", "each box twice, half a cell apart")
    elif given == [4 * FACES if _is_dense(p) else count for p, count in zip(params, usual, strict=True)]:
        for p in params:
            p.face_boxes = True
        _say(priors, "FaceBoxes", f"{FACES} boxes for the sizes 32, 64 and 128")


def _sources(blob: str, made: Mapping[str, Any]) -> list[Any]:
    """Return the layers whose tops, arranged otherwise and joined, are a blob."""
    layer = made.get(blob)
    if layer is None:
        return []
    if layer.type not in THROUGH or blob in layer.bottom:
        return [layer]
    earlier = {name: maker for name, maker in made.items() if maker is not layer}
    return [source for bottom in layer.bottom for source in _sources(bottom, earlier)]


def _is_plain(layer: Any) -> bool:
    """Return whether a layer is a PriorBox that says nothing of its own about several boxes in a place."""
    p = layer.prior_box_param
    return bool(layer.type == "PriorBox" and p.min_size and not p.offset_h and not p.HasField("face_boxes"))


def _is_dense(p: Any) -> bool:
    return list(p.min_size) == [32, 64, 128] and not p.max_size and not ratios_of(p)


def _count(p: Any) -> int:
    """Return how many boxes SSD lays in a cell."""
    return len(p.min_size) * (1 + len(ratios_of(p))) + len(p.max_size)


def _say(priors: list[Any], fork: str, boxes: str) -> None:
    log(At.NET_BEGINS, f"PriorBox {', '.join(repr(layer.name) for layer in priors)}: as the channels beside it show, "
         f"this is a net of {fork}, which lays {boxes}")
