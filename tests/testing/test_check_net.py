"""check_net on every layer type, and on nets with planted mistakes: it names the layer and the kind of the mistake."""

from itertools import pairwise

import numpy as np
import pytest
from cases import CASES
from net_tools import TRAINABLE, fully_connected, inputs, layer, make

from minicaffe import TEST, TRAIN, Net, rng
from minicaffe.layer import layer_class, registered_types
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text
from minicaffe.testing import GradientError, check_net
from minicaffe.testing.verdict import FOLLOWS, RIGHT, UNCHECKED, WRONG
from minicaffe.testing.whole_net import examine_net


def net_of(case, folder):
    """A net of Inputs and the layer of a Case."""
    if case.files:
        case.files(folder)
    shapes = case.shapes()
    text = inputs(**{f"x{k}": shape for k, shape in enumerate(shapes)})
    own = "" if 'top: "data"' in case.prototxt else "".join(f' top: "y{k}"' for k in range(case.tops))
    text += (f'layer {{ name: "it" type: "{case.type}"' + "".join(f' bottom: "x{k}"' for k in range(len(shapes))) + own
             + f' {case.prototxt.replace("phase: TEST", "").replace("{files}", str(folder))} }}')
    net = Net(proto_text.parse(text, NetParameter()), TEST if "phase: TEST" in case.prototxt else TRAIN)
    if case.ready:
        case.ready(net.layers[-1])
    return net


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_type_is_right(case, tmp_path):
    """Each type passes in a net, with inputs that check_net finds itself; or it has no gradient, and that is said.

    A Case says which bottoms get a gradient, and for which of them it is 0 whatever the numbers are.
    """
    net = net_of(case, tmp_path)
    mine = [row for row in check_net(net).rows if row.name == "it"]

    if case.gradients == ():
        assert ["no gradient: the type computes none"] == [row.why for row in mine]
    elif not case.bottoms and not net.layers[-1].blobs:
        assert ["no gradient: it puts out data"] == [row.why for row in mine]
    elif zeros := case.gradient.get("zeros"):
        assert [(f"bottom[{b}]", "0 on both sides") for b in zeros] == [(row.blob.split()[0], row.why) for row in mine]
    else:
        asked = {f"bottom[{b}]" for b in range(len(case.bottoms)) if case.gradients is None or b in case.gradients}
        right = {row.blob.split()[0] for row in mine if row.verdict == RIGHT}
        assert {name for name in asked if net.layers[-1].gradient_to(int(name[7:-1]))
                and net.layers[-1].allow_force_backward(int(name[7:-1]))} <= right
        assert right
        assert all(row.why == "0 on both sides" and row.blob.split()[0] not in asked
                   for row in mine if row.verdict != RIGHT)


def test_every_type_has_a_case():
    """The test above leaves no type out."""
    assert {case.type for case in CASES} >= {name for name in registered_types() if layer_class(name).__module__
                                             .startswith("minicaffe.")}


# --- planted mistakes ------------------------------------------------------------------------------------------------

IT = "it"  # the name of the layer with the mistake
BELOW, ABOVE = layer("TanH", "x", "below"), layer("Sigmoid", "y", "above")


def net_with(kind, more="", shape=(3, 7), bottoms="below", tops="y", others=()):
    """Input, TanH, the layer, Sigmoid; a mistake in the layer spoils the gradient of what is below it too."""
    extra = {name: sizes for name, sizes in others}
    above = "" if kind.endswith("Loss") else ABOVE
    return inputs(x=shape, **extra) + BELOW + layer(kind, bottoms, tops, more, name=IT) + above


def net_from(text, phase=TRAIN):
    """The float32 net of a text, whose inputs nobody has filled."""
    return Net(proto_text.parse(text, NetParameter()), phase)


FILLED = 'weight_filler { type: "gaussian" std: 0.5 }'
NETS = {  # a type -> its net, the gradient that is spoilt, the axis of a top over which it sums, None where it does not
    "InnerProduct": (net_with("InnerProduct", f"inner_product_param {{ num_output: 5 {FILLED} }}"), "blobs[0]", 0),
    "Convolution": (net_with("Convolution", f"convolution_param {{ num_output: 4 kernel_h: 3 kernel_w: 2 {FILLED} }}",
                             (2, 3, 7, 5)), "blobs[0]", 2),
    "Deconvolution": (net_with("Deconvolution", f"convolution_param {{ num_output: 4 kernel_h: 3 kernel_w: 2 {FILLED} "
                               "}", (2, 3, 7, 5)), "blobs[0]", 0),
    "Pooling": (net_with("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 1 }", (2, 3, 7, 5)),
                "bottom[0]", 3),
    "ReLU": (net_with("ReLU"), "bottom[0]", None),
    "SoftmaxWithLoss": (net_with("SoftmaxWithLoss", shape=(7, 5), bottoms="below t", others=[("t", (7,))]),
                        "bottom[0]", None),
    "SigmoidCrossEntropyLoss": (net_with("SigmoidCrossEntropyLoss", shape=(7, 5), bottoms="below t",
                                         others=[("t", (7, 5))]), "bottom[0]", None),
    "BatchNorm": (net_with("BatchNorm", shape=(5, 3, 4)), "bottom[0]", 0),
    "LSTM": (net_with("LSTM", f"recurrent_param {{ num_output: 3 {FILLED} }}", (4, 2, 5), "below c",
                      others=[("c", (4, 2))]), "blobs[2]", 0),
    "Scale": (net_with("Scale", "scale_param { num_axes: 2 }", (4, 3, 5)), "blobs[0]", 0),
    "Eltwise": (net_with("Eltwise", "eltwise_param { operation: PROD }", bottoms="below z", others=[("z", (3, 7))]),
                "bottom[0]", None),
    "Tile": (net_with("Tile", "tile_param { axis: 0 tiles: 2 }"), "bottom[0]", 0),
    "Embed": (inputs(x=(7,)) + layer("Embed", "x", "y", f"embed_param {{ num_output: 5 input_dim: 3 {FILLED} }}",
                                     name=IT) + ABOVE, "blobs[0]", 0),
    "Softmax": (net_with("Softmax"), "bottom[0]", 1),
}


def transposed(gradient):
    """The numbers of a gradient in the order in which its first and last axes are swapped, in the shape it has."""
    return gradient.swapaxes(0, -1).reshape(gradient.shape)


FAULTS = {"sign": (lambda gradient: -gradient, "the sign is wrong"),
          "factor": (lambda gradient: gradient * 1.25, "a constant factor"),
          "transposition": (transposed, "are transposed")}


def plant(monkeypatch, kind, target, change=None, axis=None):
    """Spoil one gradient of the layer called IT: change it, or compute it from the last place of a top's axis alone."""
    cls, right = layer_class(kind), layer_class(kind).backward

    def backward(self, top, propagate_down, bottom):
        if self.name != IT:
            right(self, top, propagate_down, bottom)
            return
        blobs = self.blobs if target.startswith("blobs") else bottom
        blob, before = blobs[int(target[-2])], blobs[int(target[-2])].diff.copy()
        before = before if target.startswith("blobs") else np.zeros_like(before)
        right(self, top, propagate_down, bottom)
        if axis is None:
            blob.diff[...] = before + change(blob.diff - before)
            return
        kept = [(b, b.diff.copy()) for b in [*self.blobs, *bottom] if b is not blob]
        diffs = [t.diff.copy() for t in top]
        index = [slice(None)] * top[0].num_axes
        index[axis] = slice(0, -1)
        top[0].diff[tuple(index)] = 0
        blob.diff[...] = before
        right(self, top, propagate_down, bottom)
        for b, values in [*kept, *zip(top, diffs, strict=True)]:
            b.diff[...] = values

    monkeypatch.setattr(cls, "backward", backward)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", NETS)
def test_finds_a_planted_mistake(monkeypatch, kind, fault):
    """The layer, the gradient and the kind are named; what the layers below compute from it follows."""
    text, target, _ = NETS[kind]
    change, words = FAULTS[fault]
    plant(monkeypatch, kind, target, change)
    report = examine_net(net_from(text))

    assert (IT, kind, target) == (report.first.name, report.first.type, report.first.blob.split()[0])
    assert words in report.message()
    assert {row.verdict for row in report.rows if row.name == "above" and row.blob} <= {RIGHT}
    assert {FOLLOWS if target.startswith("bottom") else RIGHT} == {row.verdict for row in report.rows
                                                                   if row.name == "below"} or kind == "Embed"


@pytest.mark.parametrize("kind", [kind for kind, (_, _, axis) in NETS.items() if axis is not None])
def test_finds_a_missing_sum(monkeypatch, kind):
    """A gradient that is computed from one place of an axis, where it is the sum over all of them."""
    text, target, axis = NETS[kind]
    plant(monkeypatch, kind, target, axis=axis)
    report = examine_net(net_from(text))

    assert (IT, target) == (report.first.name, report.first.blob.split()[0])
    last = net_from(text).blobs["y"].shape[axis] - 1
    assert ("a sum is missing: of what must be added up, it has only "
            f"place {last} of axis {axis} of the diff of top[0]") in report.message()


def test_batch_norm_without_the_means(monkeypatch):
    """A gradient that leaves out what flows through the batch's mean and variance is wrong, and nothing explains it."""
    text, target, _ = NETS["BatchNorm"]

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff

    monkeypatch.setattr(layer_class("BatchNorm"), "backward", backward)
    report = examine_net(net_from(text))

    assert (IT, target) == (report.first.name, report.first.blob.split()[0])
    assert report.message().count(";") == 0


SHARED = (inputs(x=(3, 5), t=(3, 5)) + fully_connected("x", "a", 5, 'param { name: "w" } param { name: "b" }')
          + layer("TanH", "a", "h") + fully_connected("h", "y", 5, 'param { name: "w" } param { name: "b" }', name=IT)
          + layer("EuclideanLoss", "y t", "loss"))


@pytest.mark.parametrize(("spoilt", "shared"), [(IT, True), ("a", True), (IT, False)])
def test_overwritten_parameter(monkeypatch, spoilt, shared):
    """= where += belongs: also where no other layer shares the parameter, so that the pass alone would not show it."""
    right = layer_class("InnerProduct").backward

    def backward(self, top, propagate_down, bottom):
        if self.name == spoilt:
            self.blobs[0].clear_diff()
        right(self, top, propagate_down, bottom)

    monkeypatch.setattr(layer_class("InnerProduct"), "backward", backward)
    with pytest.raises(GradientError, match=rf"layer '{spoilt}' .*the gradient of blobs\[0\].*= where \+= belongs"):
        check_net(net_from(SHARED if shared else SHARED.replace("name: \"w\"", "")))


def spoil(monkeypatch, kind, change):
    """Run `change` with the layer, tops and bottoms after the right backward of each layer of a type."""
    right = layer_class(kind).backward

    def backward(self, top, propagate_down, bottom):
        before = [b.diff.copy() for b in bottom]
        right(self, top, propagate_down, bottom)
        change(self, top, bottom, before)

    monkeypatch.setattr(layer_class(kind), "backward", backward)


def add_before(self, top, bottom, before):
    bottom[0].diff[...] += before[0]


def first_top_alone(self, top, bottom, before):
    bottom[0].diff[...] = top[0].diff


def without_the_last_top(self, top, bottom, before):
    bottom[0].diff[...] -= top[-1].diff


def zero(self, top, bottom, before):
    bottom[0].diff.fill(0)


def without_loss_weight(self, top, bottom, before):
    bottom[0].diff[...] /= top[0].diff


def one_number(self, top, bottom, before):
    bottom[0].diff.flat[-3] += 1e-4


def not_a_number(self, top, bottom, before):
    bottom[0].diff.flat[0] = np.nan


THREE = (inputs(x=(3, 7), t=(3, 7)) + BELOW + layer("TanH", "below", "a") + layer("Sigmoid", "below", "b")
         + layer("AbsVal", "below", "c") + layer("Eltwise", "a b c", "y") + layer("EuclideanLoss", "y t", "loss"))


@pytest.mark.parametrize(("kind", "change", "words"), [
    ("TanH", add_before, "+= where = belongs"),
    ("Split", first_top_alone, "a sum is missing: of what must be added up, it has only the diff of top[0]"),
    ("Split", without_the_last_top, "a sum is not complete: the diff of top[2] is left out"),
    ("Sigmoid", zero, "backward leaves it 0"),
    ("EuclideanLoss", without_loss_weight, "is not multiplied by the top's diff, as it must be (for a loss: by "
                                           "loss_weight)"),
    ("Eltwise", one_number, "is wrong in 1 of 21 places, worst at element (2, 4)"),
    ("Sigmoid", not_a_number, "is not finite")])
def test_kinds_of_mistakes(monkeypatch, kind, change, words):
    """Each is named, in the first layer of a net with branches that has it."""
    spoil(monkeypatch, kind, change)
    report = examine_net(net_from(THREE))

    assert report.first.type == kind
    assert words in report.message()


def shifted(self, top, bottom, before):
    bottom[0].diff[:, 1:] = bottom[0].diff[:, :-1].copy()


def shifted_back(self, top, bottom, before):
    bottom[0].diff[:-1] = bottom[0].diff[1:].copy()


def turned(self, top, bottom, before):
    bottom[0].diff[...] = bottom[0].diff[::-1, ::-1].copy()


def swapped(self, top, bottom, before):
    one = bottom[0].diff.copy()
    bottom[0].diff[...], bottom[1].diff[...] = bottom[1].diff, one


@pytest.mark.parametrize(("change", "words"), [
    (shifted, "its numbers are one place too far on along axis 1"),
    (shifted_back, "its numbers are one place too far back along axis 0"),
    (turned, "it is reversed along axes 0 and 1"),
    (swapped, "it is the gradient of bottom[1]")])
def test_right_numbers_at_wrong_places(monkeypatch, change, words):
    """The report says where the numbers belong."""
    spoil(monkeypatch, "Eltwise", change)
    text = THREE.replace('bottom: "c"', 'bottom: "c" eltwise_param { operation: PROD }')
    assert examine_net(net_from(text)).message().endswith(words)


def without_mask(self, top, bottom, before):
    bottom[0].diff[...] = top[0].diff


def last_sample(self, top, bottom, before):
    bottom[0].diff[:-1] = 0


def three_zeros(self, top, bottom, before):
    bottom[0].diff[0, :3] = bottom[0].diff[1, 2:5] = 0


@pytest.mark.parametrize(("change", "words"), [
    (without_mask, "; they should be 0: is a mask missing?"),
    (last_sample, "; it has only place 2 of axis 0 of the diff of top[0] (3, 7)"),
    (three_zeros, "; backward leaves these numbers 0")])
def test_some_numbers_are_zero_or_should_be(monkeypatch, change, words):
    """ReLU passes on what it must not, or leaves out samples, or some numbers. None of these is a missing sum."""
    spoil(monkeypatch, "ReLU", change)
    assert examine_net(net_from(THREE.replace("AbsVal", "ReLU"))).message().endswith(words)


def test_a_sum_over_two_axes_is_missing(monkeypatch):
    """A bias adds up over the whole plane, and here it gets the diff of one pixel."""
    def change(self, top, bottom, before):
        if self.name == IT:
            self.blobs[1].diff[...] = top[0].diff[:, :, 0, 0].sum(axis=0)

    text = NETS["Convolution"][0]
    spoil(monkeypatch, "Convolution", change)
    assert "it has only the first place of axes 2 and 3 of the diff of top[0]" in examine_net(net_from(text)).message()


def test_one_wrong_number_in_a_large_blob(monkeypatch):
    """A random direction misses no number, and the search finds the one that is wrong among 45 000."""
    def change(self, top, bottom, before):
        if self.name == IT:
            self.blobs[0].diff[123, 45] *= 1.5

    spoil(monkeypatch, "InnerProduct", change)
    report = examine_net(net_from(inputs(x=(3, 150), t=(3, 4)) + fully_connected("x", "h", 300, name=IT)
                                  + layer("TanH", "h", "y") + fully_connected("y", "z", 4)
                                  + layer("EuclideanLoss", "z t", "loss")))

    assert "worst at element (123, 45)" in report.message()
    assert [row.verdict for row in report.rows if row.name == IT and row.blob].count(WRONG) == 1


def test_a_second_mistake_is_told_from_a_consequence(monkeypatch):
    """Below a wrong layer all gradients are wrong. Looked at alone, one layer there is right and the other is not."""
    spoil(monkeypatch, "Sigmoid", lambda self, top, bottom, before: np.negative(bottom[0].diff, out=bottom[0].diff))
    text = (inputs(x=(3, 7), t=(3, 7)) + layer("Sigmoid", "x", "a") + layer("TanH", "a", "b")
            + layer("Sigmoid", "b", "c") + layer("EuclideanLoss", "c t", "loss"))
    report = examine_net(net_from(text))

    assert report.first.name == "c"
    assert {"c": WRONG, "b": FOLLOWS, "a": WRONG, "loss": RIGHT} == {row.name: row.verdict for row in report.rows
                                                                     if row.blob}


def test_what_lies_below_a_layer_that_adds(monkeypatch):
    """A layer that adds to its bottom's diff spoils what those below it are given; that is no mistake of theirs."""
    spoil(monkeypatch, "Sigmoid", add_before)
    report = examine_net(net_from(inputs(x=(3, 7), t=(3, 5)) + fully_connected("x", "a", 5) + layer("TanH", "a", "b")
                                  + layer("Sigmoid", "b", "c") + layer("EuclideanLoss", "c t", "loss")))

    assert report.first.name == "c"
    assert {"c": {WRONG}, "b": {FOLLOWS}, "a": {FOLLOWS}, "loss": {RIGHT}} == {
        name: {row.verdict for row in report.rows if row.name == name} for name in ("c", "b", "a", "loss")}


def test_each_layer_that_overwrites_is_named(monkeypatch):
    """Of two layers that overwrite a parameter's diff, the second is wrong by itself too."""
    right = layer_class("InnerProduct").backward

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].clear_diff()
        right(self, top, propagate_down, bottom)

    monkeypatch.setattr(layer_class("InnerProduct"), "backward", backward)
    rows = examine_net(net_from(SHARED)).rows

    assert [(IT, "blobs[0]"), ("a", "blobs[0]")] == [(row.name, row.blob) for row in rows if row.verdict == WRONG]


def compute_tanh_in_float32(monkeypatch):
    """Let TanH round to float32, as a user's layer does whose arrays have this type."""
    forward = layer_class("TanH").forward

    def rounded(self, bottom, top):
        forward(self, bottom, top)
        top[0].data[...] = top[0].data.astype(np.float32)

    monkeypatch.setattr(layer_class("TanH"), "forward", rounded)


SINGLE = (inputs(x=(3, 7), t=(3, 5)) + fully_connected("x", "a", 4) + layer("TanH", "a", "b")
          + layer("Split", "b", "c d") + layer("Eltwise", "c d", "e", "eltwise_param { operation: PROD }")
          + fully_connected("e", "f", 5) + layer("EuclideanLoss", "f t", "loss"))


def test_a_layer_that_computes_in_float32(monkeypatch):
    """Small steps are lost in its rounding. It is right all the same, and so are the layers around it."""
    compute_tanh_in_float32(monkeypatch)
    rows = [row for row in check_net(net_from(SINGLE)).rows if row.blob]

    assert {RIGHT} == {row.verdict for row in rows}
    assert [row.name for row in rows if "within 5%: it computes in float32" in row.why] == ["b"]


@pytest.mark.parametrize(("kind", "factor"), [("TanH", -1), ("TanH", 1.25), ("TanH", 0), ("Split", -1),
                                              ("Eltwise", 1.01)])
def test_a_mistake_beside_float32(monkeypatch, kind, factor):
    """It is found in the layer that computes in float32, and below and above it."""
    compute_tanh_in_float32(monkeypatch)
    spoil(monkeypatch, kind, lambda self, top, bottom, before: np.multiply(bottom[0].diff, factor, out=bottom[0].diff))
    report = examine_net(net_from(SINGLE))

    assert [kind] == sorted({row.type for row in report.rows if row.verdict == WRONG})
    assert report.first.type == kind
    assert {FOLLOWS, UNCHECKED} >= {row.verdict for row in report.rows if row.name == "a" and row.blob}


def test_nothing_of_the_net_changes():
    """The weights, the inputs and the random numbers of the caller stay."""
    net = make(THREE.replace("AbsVal", "Dropout"), dtype=np.float32)
    weights, state = [p.blob.data.copy() for p in net.learnable_params], rng.state()
    check_net(net)

    assert rng.state() == state
    for before, param in zip(weights, net.learnable_params, strict=True):
        np.testing.assert_array_equal(before, param.blob.data)


@pytest.mark.parametrize("seed", range(5))
def test_kinks_are_no_mistakes(seed):
    """Where ReLU's zeros meet in a window of a pooling, the largest has no derivative: never a false alarm."""
    assert check_net(net_from(TRAINABLE), seed=seed).first is None


def test_a_report_is_one_line_at_the_prompt(monkeypatch):
    """It says how many gradients are right and what the mistake is, and does not list all rows."""
    net = net_from(THREE)
    assert repr(check_net(net)) == "<NetReport: 10 of 10 gradients right>"
    spoil(monkeypatch, "Sigmoid", zero)
    report = examine_net(net)

    assert repr(report).startswith("<NetReport: 7 of 10 gradients right, layer 'b' (Sigmoid): the gradient of ")


def test_a_vacuous_check_is_no_pass():
    """A gradient that is 0 on both sides was not checked, and the row says so."""
    text = (inputs(x=(3, 5), t=(3, 5)) + fully_connected("x", "a", 5)
            + layer("Power", "a", "y", "power_param { scale: 0 shift: 1 }") + layer("EuclideanLoss", "y t", "loss"))
    rows = {(row.name, row.blob.split()[0]): row for row in check_net(net_from(text)).rows if row.blob}

    assert rows["loss", "bottom[0]"].verdict == RIGHT
    for key in (("y", "bottom[0]"), ("a", "blobs[0]"), ("a", "blobs[1]")):
        assert (rows[key].verdict, rows[key].why) == (UNCHECKED, "0 on both sides")


@pytest.mark.parametrize("end", ["Accuracy", "ArgMax"])
def test_a_net_that_ends_without_a_gradient(end):
    """Through Accuracy and ArgMax none flows, so the outputs of the layers before them are summed."""
    text = (inputs(x=(3, 7), t=(3,)) + fully_connected("x", "a", 5) + layer("Softmax", "a", "p")
            + layer(end, "p t" if end == "Accuracy" else "p", "y"))
    report = check_net(net_from(text))

    assert {"p", "a"} == {row.name for row in report.rows if row.verdict == RIGHT}
    assert UNCHECKED not in {row.verdict for row in report.rows if row.blob}


@pytest.mark.parametrize(("above", "loss"), [(layer("Exp", "a", "y", "loss_weight: 1"), "inf"),
                                             (layer("Log", "a", "y"), "nan")])
def test_a_loss_that_is_not_finite(above, loss):
    """There is nothing to compare then, which is no pass; the layer where it begins is named."""
    text = inputs(x=(3, 5)) + layer("Power", "x", "a", "power_param { scale: 1e30 }") + above
    with pytest.raises(GradientError, match=rf"the loss is {loss}, .* not finite are in top\[0\] y of layer 'y'"):
        check_net(net_from(text))


def test_numbers_that_do_not_repeat(monkeypatch):
    """A layer that draws from a generator of its own has no slope to measure, and the check says which and why."""
    own, right = np.random.default_rng(1), layer_class("TanH").forward

    def forward(self, bottom, top):
        right(self, bottom, top)
        top[0].data[...] *= own.random(top[0].shape)

    monkeypatch.setattr(layer_class("TanH"), "forward", forward)
    with pytest.raises(GradientError, match=r"differ are in top\[0\] below of layer 'below' \(TanH\)\. .* self\.rng"):
        check_net(net_from(THREE))


def test_inputs_are_as_the_layers_need_them():
    """Labels are classes, indicators 0 or 1, also behind a Split; what the caller filled stays."""
    text = (inputs(x=(4, 2, 5), c=(4, 2), t=(4, 2))
            + layer("LSTM", "x c", "y", f"recurrent_param {{ num_output: 3 {FILLED} }}")
            + layer("SoftmaxWithLoss", "y t", "loss", "softmax_param { axis: 2 }")
            + layer("Accuracy", "y t", "right", "accuracy_param { axis: 2 }"))
    net = net_from(text)
    net.blobs["x"].data[...] = np.arange(40).reshape(4, 2, 5) / 40
    report = check_net(net)

    assert report.remarks[0] == "inputs whose numbers were all equal got random ones: c, t"
    assert {RIGHT} == {row.verdict for row in report.rows if row.blob}
    assert ["no gradient: the type computes none"] == [row.why for row in report.rows if row.type == "Accuracy"]


def test_a_deep_net_by_each_layer_alone():
    """Where the loss hardly depends on the first layers, the layers alone show their gradients to be right."""
    names = ["x", *(f"h{k}" for k in range(12))]
    weights = 'inner_product_param { num_output: 9 bias_term: false weight_filler { type: "gaussian" std: 0.05 } }'
    text = inputs(x=(2, 9), t=(2, 9)) + "".join(
        layer("InnerProduct", below, above, weights) + layer("TanH", above, above, name=f"tanh_{above}")
        for below, above in pairwise(names)) + layer("EuclideanLoss", "h11 t", "loss")
    rows = [row for row in check_net(net_from(text)).rows if row.blob]

    assert {RIGHT} == {row.verdict for row in rows}
    assert any("layer alone" in row.why for row in rows)


def test_a_siamese_net():
    """Two branches share their parameters; the labels come from an Input, and ContrastiveLoss is checked exactly."""
    def branch(x, mark):
        return (layer("Convolution", x, f"c{mark}", 'param { name: "cw" } param { name: "cb" } convolution_param { '
                      f'num_output: 3 kernel_size: 2 {FILLED} }}')
                + layer("Pooling", f"c{mark}", f"p{mark}", "pooling_param { kernel_size: 2 stride: 2 }")
                + layer("ReLU", f"p{mark}", f"p{mark}", name=f"relu{mark}")
                + fully_connected(f"p{mark}", f"f{mark}", 2, 'param { name: "fw" } param { name: "fb" }'))

    text = (inputs(pair=(4, 2, 7, 5), similar=(4,))
            + layer("Slice", "pair", "a b", "slice_param { axis: 1 slice_point: 1 }", name="slice")
            + branch("a", "1") + branch("b", "2")
            + layer("ContrastiveLoss", "f1 f2 similar", "loss", "contrastive_loss_param { margin: 9 }"))
    report = check_net(net_from(text))

    assert {RIGHT} == {row.verdict for row in report.rows if row.blob}
    assert [row.blob for row in report.rows if row.name in ("f1", "f2")][1::3] == ["blobs[0]"] * 2
    assert "layer 'loss' is checked without the 0.0001 that Caffe adds" in report.remarks[-1]


def test_where_no_gradient_flows():
    """The net is right as Caffe is, which lets none through propagate_down: false and SoftmaxWithLoss's second top."""
    product = "eltwise_param { operation: PROD } propagate_down: false propagate_down: true"
    text = (inputs(x=(5, 3), t=(5,)) + fully_connected("x", "a", 4) + fully_connected("a", "b", 4)
            + layer("Eltwise", "a b", "e", product) + layer("SoftmaxWithLoss", "e t", "loss p")
            + layer("Power", "p", "q", "power_param { power: 2 } loss_weight: 3"))

    assert {RIGHT} == {row.verdict for row in check_net(net_from(text)).rows if row.blob}


@pytest.mark.parametrize("above", [
    layer("SoftmaxWithLoss", "h t", "loss"),
    layer("SoftmaxWithLoss", "h t", "loss", "loss_param { focal_gamma: 2 }"),
    layer("Softmax", "h", "p") + layer("MultinomialLogisticLoss", "p t", "loss"),
    layer("InfogainLoss", "h t H", "loss")], ids=["softmax", "focal", "multinomial", "infogain"])
@pytest.mark.parametrize("scale", [150, 4000])
def test_a_saturated_loss(above, scale):
    """Below ε Caffe's forward is constant, but its backward is not 0. The report says so, and calls no layer wrong."""
    given = {"H": (5, 5)} if "Infogain" in above else {}
    text = (inputs(x=(7, 3), t=(7,), **given) + fully_connected("x", "g", 5) + layer("TanH", "g", "g", name="tanh")
            + layer("Power", "g", "h", f"power_param {{ scale: {scale} }}") + above)
    report = check_net(net_from(text))

    assert report.count(WRONG) == 0
    assert scale > 150 or RIGHT in {row.verdict for row in report.rows if row.name == "g"}
    assert [remark for remark in report.remarks if remark.startswith("layer 'loss' is checked with")]


def test_a_loss_that_is_not_saturated():
    """Where no probability is smaller than ε, the loss is checked as it is."""
    text = inputs(x=(7, 3), t=(7,)) + fully_connected("x", "g", 5) + layer("SoftmaxWithLoss", "g t", "loss")
    assert not any("ε" in remark for remark in check_net(net_from(text)).remarks)
