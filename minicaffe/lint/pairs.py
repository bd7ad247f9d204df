"""Rules about two nets that share weights: the train net with a test net or with a deploy net."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minicaffe.analysis import data_tops
from minicaffe.analysis.data_tops import Tops
from minicaffe.lint.registry import ERROR, PAIR, WARNING, Finding, rule
from minicaffe.lint.subjects import Definition, Pair
from minicaffe.log import number, shape_text

SAME = ("scale", "mean_value", "mean_file", "crop_size", "force_color", "force_gray", "resize_shorter")
SIZES = ("new_height", "new_width", "is_color")
ALIKE = {"Data", "ImageData"}  # types that read the same images and differ in where from


def _images(definition: Definition) -> Iterator[int]:
    """Return the indices of the data layers that read from a source."""
    return (i for i in definition.data if data_tops.source(definition.layers[i]))


@rule("preprocessing-differs", PAIR)
def preprocessing_differs(pair: Pair) -> Iterator[Finding]:
    """The data layers of the train net and the test net prepare their images differently.

    A net that was trained on images with the mean subtracted scores other images badly. The rule compares two data
    layers that make the same top and have the same type, or of which one is Data and the other ImageData.

    Example
        layer { name: "data" type: "Data" top: "data" include { phase: TRAIN } transform_param { scale: 0.00390625 } }
        layer { name: "data" type: "Data" top: "data" include { phase: TEST } }

    Cure
        Give both the same scale, mean and crop_size.
    """
    train, test = pair.first, pair.second
    for k in _images(test):
        i = next((i for i in _images(train) if train.layers[i].top[:1] == test.layers[k].top[:1]), None)
        if i is None:
            continue
        types = {train.layers[i].type, test.layers[k].type}
        if len(types) > 1 and not types <= ALIKE:
            continue
        theirs, ours = _prepared(train.layers[i]), _prepared(test.layers[k])
        # colours and sizes of Data are those of its records, so they cannot be compared with fields of ImageData
        compared = theirs if len(types) == 1 else [name for name in SAME if not name.startswith("force")]
        differing = [name for name in compared if theirs[name] != ours.get(name)]
        if "crop_size" in differing and not _sizes_differ(train.data[i], test.data[k], theirs, ours):
            differing.remove("crop_size")
        if differing:
            line = train.where(i).rpartition(":")[2]
            place = f"in line {line}" if train.file == test.file else f"at {train.where(i)}"
            words = "; ".join(f"{name} is {_shown(ours[name])} here and {_shown(theirs[name])} there"
                              for name in differing)
            yield test.found(WARNING, k, f"{test.title(k)} prepares its images otherwise than the train net's {place}: "
                             f"{words}", "give both layers the same " + ", ".join(differing))


def _sizes_differ(first: Tops | None, second: Tops | None, theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    """Return whether images of two sizes come out, where only one layer crops or both crop otherwise.

    A layer that does not crop gives the size of the images in its source, which may be that of the other's crops.
    """
    if theirs["crop_size"] and ours["crop_size"]:
        return True
    return first is not None and second is not None and not (first.guessed or second.guessed) \
        and first.shapes[0][2:] != second.shapes[0][2:]


def _prepared(layer: Any) -> dict[str, Any]:
    """Return what a data layer does to its images, without what is drawn at random."""
    found = {name: _value(layer.transform_param, name) for name in SAME}
    for message in data_tops.messages(layer):
        for name in (*SIZES, *(name for name in SAME if hasattr(message, name) and not found[name])):
            if message is not layer.transform_param and hasattr(message, name):
                found[name] = _value(message, name)
    return found


def _value(message: Any, name: str) -> Any:
    value: Any = getattr(message, name, None)
    return tuple(value) if hasattr(value, "extend") else value


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(number, value)) + "]" if value else "not set"
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, float) else str(value) or "not set"


@rule("class-folders", PAIR)
def class_folders(pair: Pair) -> Iterator[Finding]:
    """A class folder has one number in the training and another one in the test.

    The sorted names of the class folders are the classes 0, 1, 2 and so on. Where a folder is lacking in one of the two
    sources, or has another name, the classes behind it get other numbers. The test then counts right answers as wrong.

    Example
        train/brick, train/grass, train/gravel, and test/brick, test/gravel: gravel is 2 in the training, 1 in the test

    Cure
        Give both the same class folders.
    """
    train, test = pair.first, pair.second
    for k in _images(test):
        theirs, ours = (next((tops.classes for i in _images(net) if net.layers[i].top[:1] == test.layers[k].top[:1]
                              and (tops := net.data[i]) is not None), ()) for net in (train, test))
        if not theirs or not ours:
            continue
        odd = next((name for number, name in enumerate(ours) if theirs[number:number + 1] != (name,)), "")
        if odd:
            there = f"has number {theirs.index(odd)}" if odd in theirs else "is missing"
            yield test.found(ERROR, k, f"{test.title(k)}: the class folder {odd} has number {ours.index(odd)} in "
                             f"{data_tops.source(test.layers[k])}, and {there} in the source of the train net, which "
                             f"has {', '.join(theirs)}", "give both sources the same class folders")


@rule("same-source", PAIR)
def same_source(pair: Pair) -> Iterator[Finding]:
    """The net is tested on the data that it is trained on.

    The scores then say how well it remembers these samples, and not how well it does on new ones.

    Example
        layer { name: "data" type: "Data" include { phase: TEST } data_param { source: "train_lmdb" } }

    Cure
        Test on data that is kept apart.
    """
    train = {data_tops.source(pair.first.layers[i]) for i in _images(pair.first)}
    for k in _images(pair.second):
        if (path := data_tops.source(pair.second.layers[k])) in train:
            yield pair.second.found(WARNING, k, f"{pair.second.title(k)} reads {path}, which the train net reads too",
                                    "test on data that the net is not trained on")


@rule("weights-differ", PAIR)
def weights_differ(pair: Pair) -> Iterator[Finding]:
    """A layer has weights of one shape in the train net and of another shape in the test or deploy net.

    The weights that were learned do not fit the second net, so they cannot be loaded.

    Example
        inner_product_param { num_output: 1000 } in the train net, inner_product_param { num_output: 20 } in deploy

    Cure
        Make the two layers alike. minicaffe deploy TRAIN_NET OUT writes a deploy net that fits.
    """
    first, second = pair.first, pair.second
    theirs = weights_of(first)
    for i, shapes in weights_of(second).values():
        found = theirs.get(second.layers[i].name)
        if found is not None and _differ(found[1], shapes, first.assumed or second.assumed):
            yield second.found(ERROR, i, f"{second.title(i)} has weights {_shapes(shapes)} here and "
                               f"{_shapes(found[1])} at {first.where(found[0])}", "make the two layers alike")


@rule("weights-missing", PAIR)
def weights_missing(pair: Pair) -> Iterator[Finding]:
    """The test or deploy net has a layer with weights whose name is not in the train net.

    Nothing is ever learned for this layer: it keeps the numbers of its fillers, or zeros.

    Example
        layer { name: "fc8" … } in the train net, layer { name: "fc8_new" … } in the deploy net

    Cure
        Give both layers the same name.
    """
    first, second = pair.first, pair.second
    if first.net is None:
        return
    known = {layer.name for layer in first.layers}
    shared = {spec.name for layer in first.layers for spec in layer.param if spec.name}
    new = [i for name, (i, _) in weights_of(second).items()
           if name not in known and not any(spec.name in shared for spec in second.layers[i].param)]
    if new:
        more = f" (and so for {len(new) - 1} more layers)" if new[1:] else ""
        yield second.found(WARNING, new[0], f"{second.title(new[0])} has weights, and {first.file} has no layer of "
                           f"this name: nothing is learned for it{more}", "give both layers the same name")


def _differ(theirs: list[tuple[int, ...]], ours: list[tuple[int, ...]], assumed: bool) -> bool:
    """Return whether shapes of weights differ. Where sizes are assumed, only the number of outputs can be compared."""
    if assumed:
        return [shape[:1] for shape in theirs] != [shape[:1] for shape in ours]
    return theirs != ours


def weights_of(definition: Definition) -> dict[str, tuple[int, list[tuple[int, ...]]]]:
    """Return the index and the shapes of the blobs of each layer that learns, by the layer's name."""
    found = {}
    for i, layer in enumerate(definition.layers):
        made = definition.made(i)
        if made is not None and made.blobs:
            found[layer.name] = i, [blob.shape for blob in made.blobs]
    return found


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(map(shape_text, shapes))


@rule("input-size", PAIR)
def input_size(pair: Pair) -> Iterator[Finding]:
    """The deploy net's input has another number of channels, or another size, than the images of the train net.

    Objects then seem larger or smaller than those that the net has learned. A net of convolutions only may take larger
    images on purpose.

    Example
        crop_size: 227 in the train net, input_param { shape { dim: 1 dim: 3 dim: 256 dim: 256 } } in the deploy net

    Cure
        Give the Input the size of the train net's crops.
    """
    deploy = pair.second
    if not deploy.is_deploy or deploy.net is None or pair.first.guessed:
        return
    images = [tops.shapes[0][1:] for i in _images(pair.first)
              if (tops := pair.first.data[i]) is not None and len(tops.shapes[0]) == 4]
    inputs = [(i, deploy.net.tops[deploy.made_index(i)][0].shape[1:]) for i, cls in enumerate(deploy.classes)
              if cls is not None and cls.is_input and len(deploy.layers[i].top) == 1]
    inputs = [(i, shape) for i, shape in inputs if len(shape) == 3]
    if len(images) == 1 and len(inputs) == 1 and inputs[0][1] != images[0]:
        i, shape = inputs[0]
        assumed = next(t.assumed for t in pair.first.data.values() if t is not None)
        if assumed and shape[1:] == images[0][1:]:  # the number of channels is a guess without the source
            return
        yield deploy.found(WARNING, i, f"{deploy.title(i)} takes images of {shape_text(shape)} (C, H, W), and the "
                           f"train net is fed {shape_text(images[0])}",
                           "give the Input the size of the crops, unless another is meant")
