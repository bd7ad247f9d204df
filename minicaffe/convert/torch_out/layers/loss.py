"""Losses as lines of Python, for the method `loss`."""

from __future__ import annotations

import math

from minicaffe.convert.torch_out.given import Given, says
from minicaffe.convert.torch_out.names import num


@says("SoftmaxWithLoss")
def softmax_with_loss(g: Given) -> None:
    """`F.cross_entropy`."""
    p, layer = g.param, g.layer
    x, label = _classes_first(g), _label(g)
    if layer.class_weight is not None:
        weight = f", weight={_class_weight(g)}"
    else:
        weight = ""
    ignore = f", ignore_index={layer.ignore_label}" if layer.ignore_label is not None else ""
    plain = len(g.x) == 2 and not p.focal_gamma
    if plain and layer.normalization == "VALID":  # PyTorch's mean, too, is over the labels that count
        g.put(f"F.cross_entropy({x}, {label}{weight}{ignore})")
    elif plain:
        total = f'F.cross_entropy({x}, {label}{weight}{ignore}, reduction="sum")'
        g.put(_divided(g, total, g.x[1], _outer(g)))
    else:
        each = g.temporary("each")
        g.line(f'{each} = F.cross_entropy({x}, {label}{ignore}, reduction="none")')
        if p.focal_gamma:
            g.line(f"{each} = {each} * (1 - torch.exp(-{each})) ** {num(p.focal_gamma)}")
        _weighed(g, each, f"{_class_weight(g)}[{label}.clamp(min=0)]" if weight else "", _outer(g))
    if len(g.y) > 1:
        g.put(f"F.softmax({g.x[0]}, dim={layer.axis}).detach()", 1)


@says("SigmoidCrossEntropyLoss")
def sigmoid_cross_entropy_loss(g: Given) -> None:
    """`F.binary_cross_entropy_with_logits`; a formula where focal_gamma is set."""
    layer, x = g.layer, g.x[0]
    t = g.x[1] if g.x_shapes[1] == g.x_shapes[0] else f"{g.x[1]}.reshape_as({x})"
    plain = layer.ignore_label is None and layer.class_weight is None and len(g.x) == 2 and len(g.y) == 1
    alpha = f", pos_weight=torch.full_like({x}, {num(layer.alpha)})" if layer.alpha != 1 and not layer.gamma else ""
    if plain and not layer.gamma:
        total = f'F.binary_cross_entropy_with_logits({x}, {t}{alpha}, reduction="sum")'
        g.put(_divided(g, total, x, f"len({x})"))
        return
    each = g.temporary("each")
    if layer.gamma:
        p, gamma, yes = g.temporary("p"), num(layer.gamma), f"{num(layer.alpha)} * " if layer.alpha != 1 else ""
        g.line(f"{p} = torch.sigmoid({x})")
        g.line(f"{each} = -{yes}{t} * (1 - {p}) ** {gamma} * F.logsigmoid({x})"
               f" - (1 - {t}) * {p} ** {gamma} * F.logsigmoid(-{x})")
    else:
        g.line(f'{each} = F.binary_cross_entropy_with_logits({x}, {t}{alpha}, reduction="none")')
    shape = f"{_class_weight(g)}.reshape({', '.join(['-1', *['1'] * (g.axes() - 2)])})" \
        if layer.class_weight is not None else ""
    _weighed(g, each, shape, f"len({x})", target=t)
    if len(g.y) > 1:
        g.put(each, 1)


@says("EuclideanLoss")
def euclidean_loss(g: Given) -> None:
    """Half of the sum of the squares, divided by the batch size."""
    a, b = g.x[0], g.x[1] if g.x_shapes[1] == g.x_shapes[0] else f"{g.x[1]}.reshape_as({g.x[0]})"
    if len(g.x) == 2:
        g.put(_divided(g, f"({a} - {b}).pow(2).sum() / 2", a, f"len({a})"))
        return
    each = g.temporary("each")
    g.line(f"{each} = ({a} - {b}).pow(2) / 2")
    _weighed(g, each, "", f"len({a})")


@says("HingeLoss")
def hinge_loss(g: Given) -> None:
    """`F.relu` of the margins, summed up."""
    x = g.x[0] if g.axes() == 2 else f"{g.x[0]}.flatten(1)"
    classes, label = num(g.layer.classes), f"{g.x[1]}.long().flatten()"
    if g.layer.ignore_label is not None and g.layer.ignore_label < 0:
        label = f"{label}.clamp(min=0)"  # the margins of these samples do not count
    each, own = g.temporary("each"), g.temporary("own")
    g.line(f"{own} = F.one_hot({label}, {classes})")
    square = ".pow(2)" if g.layer.squared else ""
    g.line(f"{each} = F.relu(1 + (1 - 2 * {own}) * {x}){square}.sum(1)")
    weight = f"{_class_weight(g)}[{label}]" if g.layer.class_weight is not None else ""
    _weighed(g, each, weight, f"len({g.x[0]})")


@says("MultinomialLogisticLoss")
def multinomial_logistic_loss(g: Given) -> None:
    """`F.nll_loss` of the logarithms."""
    x = g.x[0] if g.axes() == 2 else f"{g.x[0]}.flatten(1)"
    layer, label = g.layer, f"{g.x[1]}.long().flatten()"
    ignore = f", ignore_index={layer.ignore_label}" if layer.ignore_label is not None else ""
    each = g.temporary("each")
    g.line(f'{each} = F.nll_loss(torch.log({x}.clamp(min=1e-20)), {label}{ignore}, reduction="none")')
    weight = f"{_class_weight(g)}[{label}.clamp(min=0)]" if layer.class_weight is not None else ""
    _weighed(g, each, weight, f"len({g.x[0]})")


@says("InfogainLoss")
def infogain_loss(g: Given) -> None:
    """`F.log_softmax` and a matrix."""
    C, layer = g.layer.classes, g.layer
    H = g.x[2] if len(g.x) == 3 else g.buffer("_H", layer.matrix.reshape(C, C))
    if len(g.x) == 3:
        H = f"{H}.reshape({C}, {C})"
    each, label = g.temporary("each"), _label(g)
    rows = f"{H}[{label}{'.clamp(0, ' + str(C - 1) + ')' if layer.ignore_label is not None else ''}]"
    g.line(f"{each} = -({rows} * F.log_softmax({_classes_last(g)}, dim=-1)).sum(-1)")
    _weighed(g, each, "", _outer(g))
    if len(g.y) > 1:
        g.put(f"F.softmax({g.x[0]}, dim={layer.axis}).detach()", 1)


@says("SmoothL1Loss")
def smooth_l1_loss(g: Given) -> None:
    """`F.smooth_l1_loss` with beta = 1 / sigma², divided by the batch size."""
    shape, x = g.x_shapes[0], g.x[0]
    t, *weights = (name if s == shape else f"{name}.reshape_as({x})"
                   for name, s in zip(g.x[1:], g.x_shapes[1:], strict=True))
    beta = num(1 / g.param.sigma ** 2)
    pairs = f"{weights[0]} * {x}, {weights[0]} * {t}" if weights else f"{x}, {t}"
    if len(weights) < 2 and len(g.y) == 1:
        g.put(f'F.smooth_l1_loss({pairs}, beta={beta}, reduction="sum") / len({x})')
        return
    each = g.temporary("each")
    outside = f" * {weights[1]}" if len(weights) > 1 else ""
    g.line(f'{each} = F.smooth_l1_loss({pairs}, beta={beta}, reduction="none"){outside}')
    g.put(f"{each}.sum() / len({x})")
    if len(g.y) > 1:
        g.put(f"{each}.sum(1, keepdim=True).detach()", 1)


@says("ContrastiveLoss")
def contrastive_loss(g: Given) -> None:
    """The formula itself."""
    margin, legacy = num(g.param.margin), g.param.legacy_version
    a, b, similar = g.x
    distance, far = g.temporary("squared"), g.temporary("far")
    flat = ".flatten(1)" if g.axes() > 1 else "[:, None]"
    g.line(f"{distance} = ({a}{flat} - {b}{flat}).pow(2).sum(1)")
    g.line(f"{far} = F.relu({margin} - {distance})" if legacy else
           f"{far} = F.relu({margin} - {distance}.sqrt()).pow(2)")
    g.put(f"torch.where({similar}.flatten().long() != 0, {distance}, {far}).sum() / (2 * len({a}))")


# --- what several losses share -----------------------------------------------------------------------------

def _classes_first(g: Given) -> str:
    """Return the scores with the classes on axis 1, where PyTorch wants them."""
    return g.x[0] if g.layer.axis == 1 else f"{g.x[0]}.movedim({g.layer.axis}, 1)"


def _classes_last(g: Given) -> str:
    """Return the scores with the classes on the last axis."""
    return g.x[0] if g.layer.axis == g.axes() - 1 else f"{g.x[0]}.movedim({g.layer.axis}, -1)"


def _label(g: Given) -> str:
    """Return the labels as whole numbers, in the shape of the scores without their classes."""
    axis = g.layer.axis
    g.refuse_if(axis == 0, "has its classes on axis 0", "give the scores an axis for the batch")
    wanted = g.x_shapes[0][:axis] + g.x_shapes[0][axis + 1:]
    label = f"{g.x[1]}.long()"
    if g.x_shapes[1] == wanted:
        return label
    if len(wanted) == 1:
        return f"{label}.flatten()"
    sizes = [f"{g.x[0]}.shape[{i}]" for i in range(g.axes()) if i != axis]
    return f"{label}.reshape({', '.join(sizes)})"


def _outer(g: Given) -> str:
    """Return the number that BATCH_SIZE means for labels along an axis: the product of the sizes before it."""
    axis = g.layer.axis
    return f"len({g.x[0]})" if axis == 1 else f"({' * '.join(f'{g.x[0]}.shape[{i}]' for i in range(axis))})"


def _class_weight(g: Given) -> str:
    """Return the buffer that holds the class weights."""
    return g.buffer("_class_weight", g.layer.class_weight)


def _divided(g: Given, total: str, cells: str, batch: str) -> str:
    """Return a sum over cells, all of which count or are left out of it, divided as the layer's normalization says.

    cells   a tensor with one number for each cell
    """
    layer = g.layer
    if layer.normalization == "NONE":
        return total
    if layer.normalization == "BATCH_SIZE":
        return f"{total} / {batch}"
    return f"{total} / {cells}.numel()"


def _weighed(g: Given, each: str, class_weight: str, batch: str, target: str = "") -> None:
    """Weigh the losses of the cells, leave out ignored ones, and write their sum, divided, to the first top.

    each            the variable with the loss of each cell
    class_weight    an expression with a weight for each cell, or ""
    target          what is compared with ignore_label, if it is no class label
    """
    layer = g.layer
    factors = [class_weight] if class_weight else []
    if layer._has_weight_bottom(g.x):
        w = g.x[layer.weight_bottom]
        factors.append(f"{w}.reshape_as({each})" if _one_for_each_cell(g) else
                       f"{w}.reshape(-1{', 1' * (_axes_of_cells(g) - 1)})")
    if layer.ignore_label is not None:
        values = target or f"{g.x[1]}"
        if not layer.layer_param.loss_param.exact_ignore:
            values = f"{values}.trunc()" if target else f"{values}.long()"
        factors.append(f"({values} != {layer.ignore_label}).to({each}.dtype).reshape_as({each})")
    if not factors:
        g.put(_divided(g, f"{each}.sum()", each, batch))
        return
    weight = g.temporary("weight")
    g.line(f"{weight} = {' * '.join(factors)}")
    if layer.normalization == "VALID":
        only_ignored = len(factors) == 1 and layer.ignore_label is not None
        count_text = f"{weight}.expand_as({each}).sum()" if not only_ignored else f"{weight}.sum().clamp(min=1)"
        g.line(f"{each} = {each} * {weight}")
        g.put(f"{each}.sum() / {count_text}")
        return
    g.line(f"{each} = {each} * {weight}")
    g.put(_divided(g, f"{each}.sum()", each, batch))


def _axes_of_cells(g: Given) -> int:
    """Return how many axes the tensor with the loss of each cell has."""
    return g.axes() if g.layer.type in ("SigmoidCrossEntropyLoss", "EuclideanLoss") else \
        g.axes() - 1 if hasattr(g.layer, "axis") else 1


def _one_for_each_cell(g: Given) -> bool:
    """Return whether the bottom with weights has one for each cell, not one for each sample."""
    return math.prod(g.x_shapes[g.layer.weight_bottom]) == math.prod(g.x_shapes[1])
