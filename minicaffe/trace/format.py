"""The data of a trace's page, as JSON; and numbers as they stand in it.

tests/trace/example.json is a small page's data: an InnerProduct and a EuclideanLoss, traced for one update.
Wherever a list names something "by number", it is the place in the list of that name: blob 2 is blobs[2].
All words are for the reader and stand in English. A key that is "optional" is left out where it has nothing to say.

    net         the net's name, or the file's where it has none
    command     the command that makes this page again
    phase       "TRAIN" or "TEST"
    notes       sentences that the page must show, such as where the input came from
    tolerance   one sentence: what "agrees" means in a proof
    solver      null, or {"type": "SGD", "formulas": [lines], "iterations": K}
    drawing     the text of an <svg>, in which layer i is <g class="layer" data-layer="i">
    layers      [layer]: what runs, in the order of the forward pass
    datasheets  {"type": text}: what the letters of a type's formulas mean; monospaced, with line ends
    blobs       [blob]: the blobs of the net, then its learnable blobs ("params")
    sources     [source]: the functions of which lines were executed
    places      {"count": [flat index, ...]}: of an array of `count` numbers that is not whole, which ones are shown
    arrays      [array]: each different array once
    steps       [step]: everything that ran, in order
    moments     [moment]: one for each layer of each pass, in order; each owns a run of `steps`

layer
    name, type
    formulas    {"forward": [lines], "backward": [lines]}, of the datasheet; lines are shown as they are, monospaced
    bottoms, tops, params    blobs by number; in place, a blob is in both bottoms and tops

blob
    name        "conv1", or for a param the name of its layer and its letter: "conv1 w"
    kind        "blob" or "param"
    layer       number of the layer that makes it (the last one, where layers run in place) or owns it
    shape       [sizes]
    image       optional: true for an input that holds images
    shared      optional, for params that share memory: the number of the param that owns it

source
    name        "InnerProductLayer.forward", or "kernels.matmul" for the definition of a kernel
    path        "minicaffe/layers/common/inner_product.py"
    first       the number in the file of the first line
    lines       [text], without common indentation

array
    shape       [sizes]; [] for a single number
    type        optional: "bool", "int32", ... for numbers other than float32
    values      every number of an array of up to 64, in C order; or of a larger one the numbers at places[count]
  and for those that are not whole also
    whole       false
    min, max, mean    of the finite numbers; null where there are none
    picture     data: URL of a PNG or null; width, height: its size in pixels
    seen        what the picture shows, in words: "each row is a row of the matrix", "20 tiles of 24 × 24", ...
  A number is the shortest decimal that gives the same float32 back. What is no number is one of the strings "NaN",
  "Infinity" and "-Infinity". A bool is true or false.

step
    source, line    which line of which function: the line by its number in the file
    depth       0 for the layer's own function, 1 for what it calls, ...
    formula     number of the formula line that is being computed (of the moment's pass, or of the solver), or null
    new         [[name, array by number, text]]: what the line wrote, after it ran, by the names that the code uses,
                such as "y", "self.index" or "bottom[0].diff". Of a value that is no array, the array is null and the
                text is its repr; of an array the text is "". The first step of a function is its `def` line, with
                the arguments
    also        optional: further names of the function whose arrays hold something else now, because they lie in the
                memory of an array in `new`, as a part of it or as the whole of which it is a part
    calls       optional: the line calls a traced function. Then this step comes before that function's steps and has
                nothing new; another step of the same line follows them and has what the line wrote
    skipped     optional: a number of rounds of a loop that were run but are not shown. Such a step has source and
                line (of the loop), depth, formula null and nothing new

moment
    iteration   0 for the first
    pass        "forward", "backward" or "update"
    layer       number of the layer
    param       in "update": number of the param that is updated
    first, count    its steps are steps[first : first + count]; a layer may have none
    note        optional: a sentence, such as why a layer does not run
    loss        in "forward", optional: the weighted loss that this layer adds
    values      [value]: bottoms, tops and params after the layer has run. Not in "update"
    proofs      [proof], in "backward": empty where the trace was made without proofs
    products    [product]
    update      in "update": the columns
    verdict     in "backward", optional: "differs" where this layer is the one to blame: what reaches its tops agrees,
                what it makes of it does not

value
    blob        by number
    role        "bottom", "top" or "param"
    data        array by number. In "backward" too, for the formulas read it; null where in-place layers have
                overwritten it since
    diff        array by number; null in "forward". A top's diff is the one that the layer read, also where it has been
                overwritten since
    note        optional: a sentence, such as what the diff of an in-place blob means at this moment

proof           beside the diff of one value: what the whole net, computed in float64, says about it
    blob, role, array    the value's, `array` is its diff
    slopes      [central difference, ...], one for each number of the array's `values`, in the same order; null where
                none was computed
    verdicts    a text of one letter for each: "a" agrees, "d" differs, "k" kink (the two one-sided differences differ),
                "-" not computed
    sides       optional: {"position in values": [left, right]} for kinks

product         what the numbers of one array are sums of
    blob, role, of    of which value, and "data" or "diff"
    array       by number
    left, right       {"name": "w", "shape": [4, 3], "blob": 5, "of": "data"}: the arrays from which the factors come;
                right may be null. blob (by number) and of are left out for an array inside the layer
    note        optional: a sentence on the factors
    entries     {"flat index": entry}: for the numbers that the array shows, those that have an entry; and for further
                numbers, on the way from a weight to the loss
    follow      optional, of a param's diff: the flat index of a number from which one can go all the way to the loss,
                or to the first layer whose products are not known. At each layer the first term is followed

entry           number = Σ left · right (all terms) + rest + plus
    terms       [[flat index in left, its value, flat index in right, its value], ...], the largest products first.
                Where the factor is no number of an array, its index is null (a mean's 1 / count)
    rest        optional: [how many further products, their sum]
    plus        optional: [[words, value], ...]: what is added to the products: [["b[3]", 0.5]]
    sum         the sum of everything in float64; the number is this, rounded as float32 sums are
    proof       optional, of a number that the array does not show: [letter of the verdict, central difference]
    chosen      optional, for MAX pooling: the number in `terms` that was taken. The terms are then the window's
                numbers, [flat index, value, null, null], and are not summed

columns         arrays by number, all of the param's shape; the places are the same in all of them
    rate        the learning rate of this param, lr_mult included, as text; and rate_of: how it comes about, in words
    w, dw       before the update; dw as backward has left it
    decay       the weight decay that is added to dw; null without
    history     [[name, before, after], ...]
    step        what is taken from w
    new         w after the update
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

WHOLE = 64  # arrays of up to so many numbers stand whole; of larger ones so many places are shown


def exact(value: Any) -> Any:
    """Return one number of an array as JSON has it: the shortest decimal that gives the same float32 back."""
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    number = float(str(value))  # str of a float32 is short; its digits survive being read as float64
    return int(number) if number.is_integer() and abs(number) < 1e9 and math.copysign(1, number) == 1 else number


def number_of(stored: Any) -> float:
    """Return the number that stands in the JSON: the reverse of `exact`."""
    return float(stored)
