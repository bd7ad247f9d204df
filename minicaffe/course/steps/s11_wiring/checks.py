"""The checks of step 11: ReLU in place, layers from definitions, Splits, and the net that is wired by names."""

from __future__ import annotations

import numpy as np

from minicaffe.course import layer_checks
from minicaffe.course.checking import UNKNOWN, Draw, Mistake, Wrong, compare, expect
from minicaffe.course.layer_checks import GARBAGE, Run, blob_of
from minicaffe.course.steps.s11_wiring import splits
from minicaffe.course.steps.s11_wiring.case import Case
from minicaffe.course.steps.s11_wiring.splits import layers_of, refused, text_of
from minicaffe.course.student import Student

LEFT = 0.5  # what other passes have left in the diffs of the weights


# --- ReLU ---------------------------------------------------------------------------------------------------------


def _relu(my: Student, draw: Draw) -> tuple[Run, np.ndarray, np.ndarray]:
    x = draw.numbers(*draw.sizes(3))
    x.flat[:3] = [0.0, 1.5, -1.5]
    return Run(my, my.relu.ReLULayer(), [x]), x, draw.numbers(*x.shape)


def check_relu(my: Student, draw: Draw) -> None:
    """ReLU computes y = max(x, 0) and dx = dy · [y > 0], between two blobs."""
    run, x, dy = _relu(my, draw)
    layer_checks.shapes_the_top(run, x.shape)
    y = np.array([max(v, 0.0) for v in x.flat]).reshape(x.shape)
    compare("ReLULayer: layer.forward(bottom, top) → top[0].data", run.forward(), y, [
        Mistake("absolute_value", np.abs(x), "negative numbers become 0, and not positive"),
        Mistake("negative_kept", np.minimum(x, 0), "the positive numbers stay, and the negative ones become 0"),
        Mistake("largest_of_all", np.full_like(x, x.max()), "max(x, 0) is meant number by number: np.maximum"),
        Mistake("nothing_written", 0 * x, "the top still holds zeros: write into top[0].data[...]")])
    layer_checks.forward_writes_the_top_alone(run)
    dx = np.array([d if v > 0 else 0.0 for d, v in zip(dy.flat, x.flat, strict=True)]).reshape(x.shape)
    compare("ReLULayer: layer.backward(top, [True], bottom) → bottom[0].diff", run.backward(dy), dx, [
        Mistake("slope_at_zero", dy * (x >= 0), "at y = 0 the slope is 0: y > 0, and not y ≥ 0"),
        Mistake("slope_is_one", dy, "where y is 0, x was cut off, and the loss does not depend on "
                "it. y is never negative, so y ≥ 0 is true everywhere: ask for y > 0."),
        Mistake("no_dy", 1.0 * (x > 0), "that is the slope. Multiply it by dy."),
        Mistake("relu_of_dy", np.maximum(dy, 0), "it is y that says where dy passes, and not the sign of dy"),
        Mistake("diff_of_the_bottom", GARBAGE * (x > 0), "dy is the diff of the top. What stands in the diff of the "
                "bottom does not count."),
        Mistake("times_y", dy * y, "the slope is 1 where y > 0, and not y"),
        *layer_checks.known_of_dx(dx)])
    layer_checks.backward_writes_dx_alone(run, dy)
    layer_checks.obeys_propagate_down(run, dy)


def check_relu_in_place(my: Student, draw: Draw) -> None:
    """In place, with one blob for bottom and top, ReLU computes the same."""
    _, x, dy = _relu(my, draw)
    blob, layer = blob_of(my, x), my.relu.ReLULayer()
    layer.setup([blob], [blob])
    layer.reshape([blob], [blob])
    layer.forward([blob], [blob])
    compare("ReLULayer with one blob for bottom and top: layer.forward → blob.data", blob.data, np.maximum(x, 0), [
        Mistake("cleared_before_read", 0 * x, "the top is the bottom here: what is cleared in the top is lost in the "
                "bottom. Compute the whole of y, and then write it."),
        Mistake("nothing_written", x, "the blob is as it was before")])
    blob.diff[...] = dy
    layer.backward([blob], [True], [blob])
    compare("ReLULayer with one blob for bottom and top: layer.backward → blob.diff", blob.diff, dy * (x > 0), [
        Mistake("cleared_before_read", 0 * x, "the diff of the bottom is the diff of the top here: where you clear the "
                "one, dy is lost. Compute the whole of dx, and then write it."),
        Mistake("nothing_written", dy, "the diff is as it was before")])


# --- layers from definitions --------------------------------------------------------------------------------------


def check_create(my: Student, draw: Draw) -> None:
    """The type gives the class, and the messages whose names end in _param give the parameters."""
    n, a, b = draw.sizes(3, high=99)
    for type_name, text, right in (
            ("InnerProduct", f"inner_product_param {{ num_output: {n} bias_term: false }}",
             {"num_output": n, "bias_term": False}),
            ("Power", f"power_param {{ scale: {a}.5 }} param {{ lr_mult: 1 }}", {"scale": a + 0.5}),
            ("Eltwise", f"eltwise_param {{ coeff: {a} coeff: -{b} }}", {"coeff": [a, -b]}),
            ("Input", f"input_param {{ shape {{ dim: {a} dim: {b} }} }}", {"shape": {"dim": [a, b]}}),
            ("ReLU", 'bottom: "x" top: "x"', {})):
        text = f'layer {{ name: "it" type: "{type_name}" {text} }}'
        layer = my.net.create(layers_of(my, text)[0])
        called = f"create(parse({text!r})['layer'][0])"
        cls = my.net.TYPES[type_name]
        expect(not isinstance(layer, type), called, layer, f"a {cls.__name__}", "class_for_layer", "that is the class. "
               "Call it to make a layer.")
        expect(type(layer) is cls, called, f"a {type(layer).__name__}", f"a {cls.__name__}", "other_class",
               "TYPES says which class belongs to a type")
        mistakes = [
            Mistake("values_in_lists", {name: value if isinstance(value, list) else [value]
                                        for name, value in right.items()},
                    "a field with one value gives the value, and not its list: PowerLayer(scale=2.5), and not [2.5]"),
            Mistake("one_of_several", {"coeff": a}, "the field stands twice: give the list of both values"),
            Mistake("one_of_several", {"coeff": -b}, "the field stands twice: give the list of both values"),
            Mistake("messages_for_fields", {"power_param": {"scale": [a + 0.5]}}, "the parameters are the fields in "
                    "the messages, and not the messages"),
            Mistake("param_is_no_parameter", {**right, "lr_mult": 1}, "param is for the solver. The parameters of the "
                    "layer are in messages whose names end in _param."),
            Mistake("no_parameters", {}, "the layer got no parameters: hand them on with **")]
        got = layer.param
        if got != right:
            for mistake in mistakes:
                expect(got != mistake.value, f"{called}.param", got, right, mistake.name, mistake.hint)
            raise Wrong(f"{called}.param", got, right, UNKNOWN, "the parameters are the fields of all messages whose "
                        "names end in _param, and nothing else")
    message = refused(lambda: my.net.create(layers_of(my, 'layer { name: "it" type: "Inner" }')[0]),
                       "create(a definition with type: \"Inner\")", "type_not_refused", "a type that TYPES does not "
                       "have is a mistake in the definition")
    expect("Inner" in message, "create(a definition with type: \"Inner\")", f"ValueError: {message}", "a ValueError "
           "with Inner in its text", "error_without_names", "say which type it is that is not known")


def check_register(my: Student, draw: Draw) -> None:
    """A registered type is created, and may work in place only if it was registered so."""
    DoubleLayer = type("DoubleLayer", (my.layer.Layer,), {})
    types, in_place = dict(my.net.TYPES), set(my.net.IN_PLACE)
    try:
        my.net.register("Double", DoubleLayer)
        made = my.net.create({"name": ["it"], "type": ["Double"]})
        expect(isinstance(made, DoubleLayer), "register('Double', DoubleLayer); create(…)", f"a {type(made).__name__}",
               "a DoubleLayer", "not_registered", "TYPES must have the new type")
        expect("Double" not in my.net.IN_PLACE, "register('Double', DoubleLayer) → IN_PLACE", my.net.IN_PLACE,
               in_place, "always_in_place", "only a layer whose backward does not need x may work in place: in_place "
               "says so")
        my.net.register("Triple", DoubleLayer, in_place=True)
        expect("Triple" in my.net.IN_PLACE, "register('Triple', DoubleLayer, in_place=True) → IN_PLACE",
               my.net.IN_PLACE, {*in_place, "Triple"}, "in_place_not_noted", "IN_PLACE must have the type, too")
    finally:
        my.net.TYPES.clear()
        my.net.TYPES.update(types)
        my.net.IN_PLACE.clear()
        my.net.IN_PLACE.update(in_place)


# --- Splits -------------------------------------------------------------------------------------------------------


def check_splits(my: Student, draw: Draw) -> None:
    """A top with several readers gets a Split behind its layer, with a top for each reader."""
    splits.of_first_tops(my)


def check_splits_of_second_tops(my: Student, draw: Draw) -> None:
    """The name has the number of the top, and a layer that reads a blob twice is two readers."""
    splits.of_second_tops(my)


def check_splits_in_place(my: Student, draw: Draw) -> None:
    """Where several layers make a blob of one name, a bottom means what was made last before it."""
    splits.in_place(my)


def check_unknown_bottom(my: Student, draw: Draw) -> None:
    """A bottom that no layer before has made is refused, with the names of both."""
    splits.unknown_bottom(my)


# --- the net ------------------------------------------------------------------------------------------------------


def check_wiring(my: Student, draw: Draw) -> None:
    """Each layer has the blobs of the names in its definition; a top in place is the bottom itself."""
    net = Case(my, draw).net
    lines = [line.strip().split(":") for line in Case.LINES.split("\n")]
    names = [name for name, _ in lines]
    expect(list(net.names) == names, "Net(…).names", list(net.names), names, "no_splits_in_net" if "act" in net.names
           and len(net.names) == 8 else "names", "the layers of the net are those that insert_splits returns, in their "
           "order")
    expect(len(net.layers) == len(net.bottoms) == len(net.tops) == len(names), "the lengths of net.layers, net.bottoms "
           "and net.tops", f"{len(net.layers)}, {len(net.bottoms)}, {len(net.tops)}", f"{len(names)} each", "lengths",
           "each layer has a place in each of these lists")
    expect(net.tops[2][0] is net.bottoms[2][0], "act reads and writes h: net.tops[2][0]", "another blob than "
           "net.bottoms[2][0]", "the same blob", "not_in_place", "the top has the name of the bottom at its place, so "
           "it is that blob, and not a new one")
    for i, (name, rest) in enumerate(lines):
        bottoms, tops = (part.split() for part in rest.split("->"))
        for kind, blobs, wanted in (("bottoms", net.bottoms[i], bottoms), ("tops", net.tops[i], tops)):
            found = [next((n for n, blob in net.blobs.items() if blob is one), "a blob that is not in net.blobs")
                     for one in blobs]
            expect(found == wanted, f"net.{kind} of layer {name}", found, wanted, "other_blobs", "the names in the "
                   "definition say which blobs of net.blobs these are: whoever has one name has one Blob")
    made = sorted({name for _, rest in lines for name in rest.replace("->", " ").split()})
    expect(sorted(net.blobs) == made, "the names in net.blobs", sorted(net.blobs), made, "names_of_blobs",
           "each name has one blob")


def check_shapes(my: Student, draw: Draw) -> None:
    """Layers are set up and reshaped one after the other, so all shapes are there at once."""
    case = Case(my, draw)
    _, D, H, K = case.sizes
    shapes = [tuple(blob.shape) for blob in case.net.params]
    right = [w.shape for w in case.weights]
    expect(shapes != [(H, D), (H,), (K, 1), (K,), (K, 1)], "the shapes of net.params", shapes, right,
           "set_up_before_shaped", "InnerProduct finds D in its setup, and its bottom has no shape yet: reshape each "
           "layer after its setup, before the next layer is set up")
    expect(len(shapes) == 5, "the shapes of net.params", shapes, right, "not_all_params", "params has the blobs of all "
           "layers, weights and biases")
    expect(shapes == right, "the shapes of net.params", shapes, right, "order_of_params", "the blobs stand in the "
           "order of the layers, and within a layer in its own order")
    case.fill()
    for name, values in case.values().items():
        got = tuple(case.net.blobs[name].shape)
        expect(got == values.shape, f"net.blobs[{name!r}].shape after Net(…)", got, values.shape, "not_shaped",
               "after its setup, each layer is reshaped, so that its tops have their shapes")


def check_loss_weights(my: Student, draw: Draw) -> None:
    """Each top has its λ: that of the definition, or else 1 for the first top of a loss and 0 for all others."""
    for text, weight in (("", 1.0), ("loss_weight: 0.25", 0.25), ("loss_weight: 0", 0.0)):
        net = Case(my, draw, text).net
        called = f"net.loss_weights, with {text or 'no loss_weight'} in the layer loss"
        expect(len(net.loss_weights) == len(net.tops), called, net.loss_weights, "a list for each layer",
               "weights_of_all_layers", "each layer has its place in this list, as in net.tops")
        got = [list(map(float, weights)) for weights in net.loss_weights]
        right = [[0.0] * len(tops) for tops in net.tops]
        right[-1] = [weight]
        expect(list(map(len, got)) == list(map(len, right)), called, got, right, "weight_for_each_top", "there is a "
               "number for each top: data has two tops")
        expect(got[-1] == right[-1] or not (text and got[-1] == [1.0]), called, got, right, "given_weight_ignored",
               "the definition says what λ is, 0 included. 1 is only the default.")
        expect(got == right, called, got, right, "default_weight", "a layer whose type ends in Loss has 1 where "
               "nothing is given, and all others have 0")
    net = my.net.Net(my.prototxt.parse("""
layer { name: "data" type: "Input" top: "x" top: "y" input_param { shape { dim: 3 } } loss_weight: 0 loss_weight: 2 }
"""))
    compare("net.loss_weights[0] of a layer with two tops and loss_weight: 0 loss_weight: 2", net.loss_weights[0],
            [0.0, 2.0], [Mistake("second_weight_lost", [0.0, 0.0], "loss_weight may stand once for each top")])


def check_what_cannot_be_wired(my: Student, draw: Draw) -> None:
    """Two makers of one blob are refused, and so is a type in place that needs its bottom."""
    for lines, words, name, hint in (
            ("data Input: -> x\none Sigmoid: x -> a\ntwo Sigmoid: a -> b\nagain Power: b -> a", ("again", "a"),
             "two_makers_not_refused", "a has been made, by one, and again is not in place: its bottom is b. With a "
             "new blob under this name the old one is lost."),
            ("data Input: -> x\none Sigmoid: x -> a\nact ReLU: x -> x", ("act", "x"), "in_place_with_other_reader",
             "one reads x too, so act reads a copy of it, x_data_0_split_1. Its top has another name than this bottom, "
             "and a blob of that name is there already."),
            ("data Input: -> x\nact Power: x -> x", ("act", "x"), "in_place_not_refused", "Power needs x in backward. "
             "In place x would be gone, and the gradient wrong: IN_PLACE says which types may.")):
        text = text_of(lines).replace('type: "Input"', 'type: "Input" input_param { shape { dim: 3 } }')
        called = f"Net(parse(…)) of {' / '.join(lines.splitlines())}"
        message = refused(lambda text=text: my.net.Net(my.prototxt.parse(text)), called, name, hint)
        expect(all(word in message for word in words), called, f"ValueError: {message}",
               f"a ValueError with {' and '.join(words)} in its text", "error_without_names", "say which layer it is, "
               "and which blob")


def check_forward(my: Student, draw: Draw) -> None:
    """Forward runs each layer, and returns the sum of λ · L."""
    for text, weight in (("", 1.0), ("loss_weight: 0.25", 0.25)):
        case = Case(my, draw, text)
        case.fill()
        held = list(case.net.params)
        got, values = case.net.forward(), case.values()
        expect(list(map(id, case.net.params)) == list(map(id, held)), "net.forward() → net.params", "other blobs than "
               "before", "the same blobs", "set_up_again", "forward reshapes the layers, and never sets them up: setup "
               "makes new weights")
        for name, array in values.items():
            compare(f"net.forward() → net.blobs[{name!r}].data", case.net.blobs[name].data, array, [
                Mistake("layer_not_run", 0 * array, "this blob is as it was before the pass: run forward of each "
                        "layer, from the first to the last")])
        loss = float(values["L"])
        compare(f"net.forward(), with λ = {weight}", got, weight * loss, [
            Mistake("loss_without_weight", loss, "the result is λ · L: a net with several losses adds them by their "
                    "weights"),
            *(Mistake("all_tops_added", sum(array.sum() for array in values.values()) + more, "λ is 0 for tops that "
                      "are no losses") for more in (0.0, case.before_act().sum())),
            Mistake("weighted_twice", weight ** 2 * loss, "multiply by λ once"),
            Mistake("sum_is_zero", 0.0, "the result is Σ λ · L over all tops")])
    net = my.net.Net(my.prototxt.parse("""
layer { name: "data" type: "Input" top: "x" input_param { shape { dim: 3 } } }
layer { name: "one" type: "Power" bottom: "x" top: "y" power_param { shift: 1 } loss_weight: 2 }
layer { name: "two" type: "Power" bottom: "y" top: "z" power_param { shift: 3 } loss_weight: 0.5 }
layer { name: "out" type: "Sigmoid" bottom: "z" top: "p" }
"""))
    compare("net.forward() of a net with y = [1, 1, 1], loss_weight: 2, and z = [4, 4, 4], loss_weight: 0.5",
            net.forward(), 12.0, [
        Mistake("first_number_alone", 4.0, "L is the sum of all numbers of the top"),
        Mistake("array_for_number", [4.0, 4.0, 4.0], "L is the sum of all numbers of the top"),
        *(Mistake("one_loss_alone", one, "the result is the sum over all tops: add to it, layer by layer")
          for one in (6.0, 0.0))])


def check_backward(my: Student, draw: Draw) -> None:
    """The diffs of the weights get their gradients, whatever stood in the diffs of the blobs before."""
    for text, weight in (("", 1.0), ("loss_weight: 0.25", 0.25)):
        case = Case(my, draw, text)
        case.fill()
        case.net.forward()
        for blob in case.net.blobs.values():
            blob.diff[...] = GARBAGE
        for blob in case.net.params:
            blob.diff[...] = LEFT
        case.net.backward()
        right = case.gradients(weight)
        stale, stale_p = case.gradients(GARBAGE, GARBAGE), case.gradients(weight, GARBAGE)
        for i in (2, 3, 4, 0, 1):  # weights near the loss first: what is wrong there is wrong everywhere
            compare(f"net.backward(), the diffs of weights full of {LEFT} before, with λ = {weight} → "
                    f"net.params[{i}].diff", case.net.params[i].diff, LEFT + right[i], [
                Mistake("begin_not_written", LEFT + stale[i], "the diff of the loss and that of p are as they were "
                        "before the pass. Backward begins with λ in the diff of each top."),
                Mistake("unread_top_not_cleared", LEFT + stale_p[i], "nobody reads p, and it is no loss, so its diff "
                        "must be 0 when backward begins. Something old stood in it, and went down to z."),
                *(Mistake("ones_for_all_tops", LEFT + case.gradients(*both)[i], "only a loss begins with its λ. Nobody "
                          "reads p, and its λ is 0: so the loss does not depend on it.")
                  for both in ((1.0, 1.0), (weight, weight), (weight, 1.0))),
                Mistake("weight_not_in_diff", LEFT + case.gradients(1.0)[i], "the diff of the loss begins with λ, and "
                        "not with 1"),
                Mistake("layers_not_run", np.full_like(right[i], LEFT), "nothing was added to this diff: layers run "
                        "from the last to the first, each from the diffs of its tops"),
                Mistake("weights_cleared", right[i], "what was in the diffs of the weights is gone. Several passes may "
                        "belong to one step, so the net leaves them to the solver.")])


def check_runs_and_propagate_down(my: Student, draw: Draw) -> None:
    """Only layers whose place in net.runs is True run backward, with the flags of net.propagate_down."""
    case = Case(my, draw)
    net = case.net
    expect(list(net.runs) == [True] * 10, "net.runs after Net(…)", net.runs, "True, ten times", "runs_of_all",
           "in this step every layer runs backward")
    flags = [[True] * len(bottoms) for bottoms in net.bottoms]
    expect([list(one) for one in net.propagate_down] == flags, "net.propagate_down after Net(…)", net.propagate_down,
           flags, "flags_of_all", "there is a flag for each bottom, in a list for each layer; the data have none")
    case.fill()
    net.forward()
    net.runs, net.propagate_down = list(net.runs), [list(one) for one in net.propagate_down]
    net.runs[1] = False
    net.propagate_down[4] = [False]
    net.backward()
    compare("net.runs[1] = False; net.backward() → diff of the weights of layer 1", net.params[0].diff,
            0 * net.params[0].diff, [Mistake("runs_ignored", np.array(net.params[0].diff), "this layer must not run "
                                             "backward: look at net.runs when backward runs")])
    right = np.zeros(net.blobs["h_act_0_split_0"].shape)
    compare("net.propagate_down[4] = [False]; net.backward() → net.blobs['h_act_0_split_0'].diff",
            net.blobs["h_act_0_split_0"].diff, right, [
                Mistake("flags_ignored", np.array(net.blobs["h_act_0_split_0"].diff), "hand net.propagate_down[i] on "
                        "to the layer")])


def check_another_batch(my: Student, draw: Draw) -> None:
    """The inputs may be reshaped for another batch, and the weights stay the same blobs."""
    case = Case(my, draw)
    case.fill()
    case.net.forward()
    N = case.sizes[0]
    case.batch(N + 7)
    got, right = case.net.forward(), float(case.values()["L"])
    compare(f"net.forward() with a batch of {N + 7}, after one of {N}", got, right)


def check_by_your_own_difference_quotient(my: Student, draw: Draw) -> None:
    """Your own numeric_gradient finds the gradients of the whole net right."""
    case = Case(my, draw, "loss_weight: 0.25")
    case.fill()
    case.net.forward()
    case.net.backward()
    for i, blob in list(enumerate(case.net.params))[:2]:  # what is right there has come through all layers
        error = float(my.gradient.largest_error(np.array(blob.diff), my.gradient.numeric_gradient(case.net.forward,
                                                                                                blob.data)))
        expect(error < 1e-6, f"largest_error of net.params[{i}].diff and numeric_gradient(net.forward, …)",
               f"{error:.3g}", "less than 1e-06", "own_check_fails", "the numbers above are right, so look at "
               "numeric_gradient: is step 3 passed?")
