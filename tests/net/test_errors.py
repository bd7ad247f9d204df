"""What a wrong definition is told: which layer, which file and line, and the cure."""

import pytest
from net_tools import fully_connected, inputs, layer, make

from minicaffe import TEST, TRAIN, Layer, LayerError, MinicaffeError, Net, NetError, pycaffe, register
from minicaffe.errors import near_names
from minicaffe.proto import LayerParameter, NetParameter
from minicaffe.proto import text as proto_text

X = inputs(x=(2, 3))


def error_of(folder, text, phase=TRAIN, **options):
    """The message of the error, the file's folder cut off."""
    path = folder / "net.prototxt"
    path.write_text(text)
    with pytest.raises(MinicaffeError) as caught:
        Net(path, phase, **options).forward_backward()
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(("lines", "words"), [
    ([layer("Relu", "x", "y")],
     "net.prototxt:2: layer 'y' has the unknown type 'Relu'\n  hint: did you mean 'ReLU'"),
    ([layer("TanH", "z", "y")],
     "net.prototxt:2: layer 'y' (TanH): unknown bottom blob 'z' (bottom 0)\n  hint: blobs made so far: x"),
    ([layer("TanH", "x", "data"), layer("TanH", "dara", "y")],
     "net.prototxt:3: layer 'y' (TanH): unknown bottom blob 'dara' (bottom 0)\n  hint: did you mean 'data'?"),
    ([layer("TanH", "w", "y"), inputs(w=(2, 3))],
     "net.prototxt:2: layer 'y' (TanH): unknown bottom blob 'w' (bottom 0)\n  hint: layer 'w' makes it, but stands"),
    ([layer("TanH", "x", "y"), layer("ReLU", "x", "y", name="b")],
     "net.prototxt:3: layer 'b' (ReLU): top blob 'y' is already made by layer 'y'"),
    ([layer("TanH", "x", "y"), layer("ReLU", "x", "x", name="b")],
     "net.prototxt:3: layer 'b' (ReLU) cannot run in place on 'x', which other layers read too"),
    ([layer("TanH", "x x", "y")], "net.prototxt:2: layer 'y' (TanH): takes 1 bottom blob, got 2"),
    ([layer("Concat", "", "y")], "net.prototxt:2: layer 'y' (Concat): takes at least 1 bottom blob, got 0"),
    ([layer("TanH", "x", "y", "propagate_down: 1 propagate_down: 1")],
     "net.prototxt:2: layer 'y' (TanH) has 1 bottoms, but propagate_down is given 2 times"),
    ([layer("TanH", "x", "y", "loss_weight: 1 loss_weight: 1")],
     "net.prototxt:2: layer 'y' (TanH): loss_weight must be given once for each of the 1 tops or not at all, got 2"),
    ([layer("TanH", "x", "y", "include { phase: TEST } exclude { }")],
     "net.prototxt:2: layer 'y' (TanH) has both include and exclude rules"),
    ([layer("TanH", "x", "y", "relu_param { negative_slope: 1 }")],
     "net.prototxt:2: layer 'y' (TanH): relu_param is set, but this layer does not read it"),
    ([layer("InnerProduct", "x", "y", 'inner_product_param { num_output: 2 weight_filler { type: "xavir" } }')],
     "net.prototxt:2: layer 'y' (InnerProduct): inner_product_param.weight_filler.type must be one of bilinear, "),
    ([inputs(w=(2, 4)), layer("Eltwise", "x w", "y")],
     "net.prototxt:3: layer 'y' (Eltwise): all bottoms must have one shape: bottom[0] is (2, 3), bottom[1] (2, 4)"),
    ([fully_connected("x", "y", 4, 'param { name: "w" }'), fully_connected("y", "z", 5, 'param { name: "w" }')],
     "net.prototxt:3: layer 'z': the shared parameter 'w' has the shape (5, 4) here and (4, 3) in layer 'y'"),
    ([inputs(l=(2,)), layer("Power", "l", "nine", "power_param { shift: 9 }"), layer("SoftmaxWithLoss", "x nine", "y")],
     "net.prototxt:4: layer 'y' (SoftmaxWithLoss): "),
    ([fully_connected("x", "f", 4), inputs(l=(2,)), layer("SoftmaxWithLoss", "f l", "y", "propagate_down: 1 " * 2)],
     "net.prototxt:4: layer 'y' (SoftmaxWithLoss): cannot backpropagate to bottom[1]"),
    ([layer("HDF5Data", "", "y", 'hdf5_data_param { source: "nowhere.txt" batch_size: 2 }')],
     "net.prototxt:2: layer 'y' (HDF5Data): "),
], ids=lambda value: value.split(": ", 1)[1][:45] if isinstance(value, str) else "")
def test_place_and_words(tmp_path, lines, words):
    """An error names the file, the line where the layer begins, the layer, and what is wrong."""
    message = error_of(tmp_path, X + "".join(lines))

    assert words == message[:len(words)]


def test_layer_of_either_phase(tmp_path):
    """Of two layers of one name the line of the one that takes part is named."""
    text = X + "".join(layer("TanH", "z", "y", f"include {{ phase: {phase} }}") for phase in ("TRAIN", "TEST"))

    assert error_of(tmp_path, text).startswith("net.prototxt:2: layer 'y'")
    assert error_of(tmp_path, text, phase=TEST).startswith("net.prototxt:3: layer 'y'")


def test_blob_of_another_phase(tmp_path):
    """A blob which the rules left out is told from one that nobody makes."""
    text = X + inputs(label=(2,)).replace("Input\"", "Input\" include { phase: TRAIN }") + layer(
        "SoftmaxWithLoss", "x label", "loss")

    assert ("hint: layer 'label' makes it, but its rules leave it out of this net (TEST, level 0, stages: none)"
            in error_of(tmp_path, text, phase=TEST))


def test_names_with_quotes(tmp_path):
    """A quote in a layer's name does not hide its line."""
    assert error_of(tmp_path, X + layer("TanH", "z", "y", name="it's")).startswith('net.prototxt:2: layer "it\'s"')


def test_old_format(tmp_path):
    """The line of a V1 layer is found too."""
    text = 'input: "x" input_shape { dim: 2 dim: 3 }\n\nlayers { name: "a" type: TANH bottom: "z" top: "y" }'

    assert error_of(tmp_path, text).startswith("net.prototxt:3: layer 'a' (TanH): unknown bottom blob 'z'")


def test_yaml(tmp_path):
    """A YAML definition has lines as well."""
    path = tmp_path / "net.yaml"
    path.write_text("layer:\n- {name: x, type: Input, top: x, input_param: {shape: [{dim: [2, 3]}]}}\n"
                    "- {name: y, type: TanH, bottom: z, top: y}\n")
    with pytest.raises(NetError, match=r"net.yaml:3: layer 'y' \(TanH\): unknown bottom"):
        Net(path)


def test_permissive():
    """Permissive turns a field that the layer does not read into a warning."""
    with pytest.warns(UserWarning, match="layer 'y' .TanH.: relu_param is set, but"):
        make(X + layer("TanH", "x", "y", "relu_param { negative_slope: 1 }"), permissive=True)


def test_what_is_no_definition():
    """Neither a number nor a message of another kind passes for a net."""
    with pytest.raises(NetError, match="not from int"):
        Net(3)
    with pytest.raises(NetError, match=r"not from caffe\.LayerParameter"):
        Net(LayerParameter())


def test_definition_is_not_changed():
    """A NetParameter given to a Net stays as it was."""
    from minicaffe.proto import NetParameter
    from minicaffe.proto import text as proto_text

    given = proto_text.parse(X + layer("BatchNorm", "x", "y"), NetParameter())
    before = given.SerializeToString()
    Net(given, TEST)

    assert before == given.SerializeToString()


@pytest.mark.parametrize(("name", "type_name", "words"), [
    ("Wrong", "Wrong", "the class of layer type 'Wrong' must be called WrongLayer, not Wrong"),
    ("TanHLayer", "TanH", "layer type 'TanH' is registered twice: in minicaffe.layers.activation.tanh and in here")])
def test_registering_a_layer(name, type_name, words):
    """A type has one class, whose name follows from it."""
    with pytest.raises(LayerError, match=words):
        register(type_name)(type(name, (Layer,), {"__module__": "here"}))


def test_facade_knows_its_blobs():
    """An array for a blob that is no input, or not in the net, is refused by name."""
    net = pycaffe.Net(proto_text.parse(X + layer("TanH", "x", "y"), NetParameter()), TEST)

    with pytest.raises(NetError, match="do not match net inputs: got z, and the net has x"):
        net.forward(z=[[0] * 3] * 2)
    with pytest.raises(NetError, match=r"net inputs: got xx, and the net has x\n  hint: did you mean 'x'\?"):
        net.forward(start="y", xx=[[0] * 3] * 2)


@pytest.mark.parametrize(("kind", "message"), [
    ("Data", "transform_param { crop_size: 3 } data_param { backend: LMDB"), ("ImageData", "image_data_param {"),
    ("HDF5Data", "hdf5_data_param {"), ("WindowData", "transform_param { crop_size: 3 } window_data_param {")])
def test_a_source_whose_backslashes_were_read_as_escapes(tmp_path, kind, message):
    """The path is shown on one line, and the hint says how to write it."""
    path = tmp_path / "net.prototxt"
    path.write_text(f'layer {{ name: "d" type: "{kind}" top: "x" top: "t" {message} source: "D:\\new\\train" '
                    "batch_size: 1 } }")
    with pytest.raises(MinicaffeError) as found:
        Net(str(path), TRAIN)

    assert r"D:\new\train" in found.value.message
    assert "\n" not in found.value.message
    assert '"D:/new/train"' in found.value.hint
@pytest.mark.parametrize(("second", "words"), [
    (layer("ReLU", "x", "y", name="a"), "top blob 'y' is already made by layer 'a'"),
    (layer("TanH", "z", "w", name="a"), "unknown bottom blob 'z'"),
    (layer("TanH", "y", "w", "propagate_down: 1 propagate_down: 1", name="a"), "has 1 bottoms, but propagate_down"),
    (layer("TanH", "y", "w", "param { }", name="a"), "has 0 learnable blobs, but param is given 1 times"),
    (layer("Eltwise", "y", "w", "eltwise_param { coeff: 1 coeff: 2 }", name="a"), ""),
    (layer("Flat", "y", "w", name="a"), ""),
    (fully_connected("y", "v", 4, 'param { name: "w" }', name="o")
     + fully_connected("y", "w", 5, 'param { name: "w" }', name="a"), "the shared parameter 'w' has the shape"),
], ids=["made twice", "unknown bottom", "propagate_down", "param", "own check", "type", "shared"])
def test_of_two_layers_of_one_name(tmp_path, second, words):
    """The error names the line of the layer that is wrong, not of the first of its name, and where the other is."""
    text = X + layer("TanH", "x", "y", name="a") + second
    line = text.count("\n")
    message = error_of(tmp_path, text)

    assert message.startswith(f"net.prototxt:{line}: layer 'a'")
    assert words in message
    assert "(another layer has this name too: net.prototxt:2)" in message


def test_of_many_layers_of_one_name(tmp_path):
    """An error points at three others and names the last blobs, however many there are."""
    chain = "".join(layer("TanH", f"y{i}" if i else "x", f"y{i + 1}", name="a") for i in range(40))
    message = error_of(tmp_path, X + chain + layer("TanH", "qq", "z", name="a"))

    assert message.startswith("net.prototxt:42: layer 'a'")
    assert "name too: net.prototxt:2, net.prototxt:3, net.prototxt:4 and 37 more)" in message
    assert message.endswith("made so far: ..., " + ", ".join(f"y{i}" for i in range(29, 41)))


def test_one_name_in_both_phases_is_no_second_layer(tmp_path):
    """Of two layers of one name in different phases, one alone takes part, and nothing is said of the other."""
    text = X + "".join(layer("TanH", "z", "y", f"include {{ phase: {phase} }}") for phase in ("TRAIN", "TEST"))

    assert "another layer" not in error_of(tmp_path, text)


@pytest.mark.parametrize(("more", "flags"), [
    ("include { phase: TRAIN }", "; --phase TRAIN takes it in"),
    ('include { stage: "a" stage: "b" }', "; --stage a,b takes it in"),
    ('include { stage: "a" not_stage: "c" }', ""),
    ("include { min_level: 3 }", "; --level 3 takes it in"),
    ("include { max_level: 0 phase: TRAIN }", "; --phase TRAIN --level 0 takes it in"),
    ('include { stage: "a" } include { stage: "d" }', "; --stage c,a takes it in"),
    ("exclude { phase: TEST }", "")])
def test_what_would_take_a_layer_in(tmp_path, more, flags):
    """The hint says which flags include the layer that makes the missing blob, where its rules allow any."""
    text = X + layer("TanH", "x", "y", more) + layer("ReLU", "y", "z")
    message = error_of(tmp_path, text, TEST, level=1, stages=["c"])

    hint = message.split("hint: ")[1]
    assert hint == ("layer 'y' makes it, but its rules leave it out of this net (TEST, level 1, stages: c)"
                    + flags.replace("--stage a,b", "--stage c,a,b"))


@pytest.mark.parametrize("name", ["DepthwiseConvolution2", "DepthWise", "ConvolutionDepthWise", "Depth_wise", "ConvDW",
                                  "DWConvolution", "depthwise_conv2d"])
def test_depthwise_types(tmp_path, name):
    """A depthwise convolution by another name is Convolution with group, not Deconvolution."""
    hint = error_of(tmp_path, X + layer(name, "x", "y")).split("hint: ")[1]

    assert hint.startswith("a depthwise convolution is Convolution with group: <channels>")


@pytest.mark.parametrize(("name", "fork"), [("Correlation", "FlowNet fork"), ("SmoothL1LossOHEM", "R-FCN fork"),
                                            ("MultiBoxLoss", "SSD fork"), ("CtcLoss", "CRNN fork"),
                                            ("SegAccuracy", "DeepLab and PSPNet forks")])
def test_layer_types_of_forks(tmp_path, name, fork):
    """An error names the fork, and no type of Caffe that is only spelt like it, such as Accuracy for SegAccuracy."""
    hint = error_of(tmp_path, X + layer(name, "x", "y")).split("hint: ")[1]

    assert hint == (f"{name!r} belongs to the {fork}; Caffe itself has no such type; "
                    f"minicaffe stub {name} net.prototxt --phase TRAIN writes a Python layer to fill in")


@pytest.mark.parametrize(("name", "known", "near"), [
    ("conv", ["Concat", "Convolution", "Deconvolution"], "'Convolution' or 'Concat'"),
    ("rate", ["base_lr", "decay_rate"], "'decay_rate'"), ("ReLULayer", ["ReLU", "PReLU", "LRN"], "'ReLU'"),
    ("SGDSolver", ["SGD", "Adam"], "'SGD'"), ("Inner", ["InnerProduct", "Input"], "'InnerProduct'"),
    ("summ", ["summary", "show"], "'summary'"), ("conv1", ["conv1_1", "conv1_2", "conv2_1"], "'conv1_1' or 'conv1_2'"),
    ("qq", ["ReLU"], ""), ("x", ["xavier"], "")])
def test_near_names(name, known, near):
    """Names that begin with what was written come first, then those spelt alike, else those that hold it."""
    assert near_names(name, known).removeprefix("did you mean ").startswith(near)
    assert bool(near) == bool(near_names(name, known))


@pytest.mark.parametrize(("loss", "scores", "label"), [
    ("SoftmaxWithLoss", (2, 5), (2,)), ("SoftmaxWithLoss", (2, 5), (2, 1)),
    ("SoftmaxWithLoss", (2, 5, 3, 4), (2, 3, 4)),
    ("SoftmaxWithLoss", (2, 5, 3, 4), (2, 1, 3, 4)), ("HingeLoss", (2, 5), (2,)), ("Accuracy", (2, 5), (2,)),
    ("Accuracy", (2, 5), (2, 1)), ("MultinomialLogisticLoss", (2, 5), (2,)), ("HingeLoss", (2, 5), (2, 1))])
def test_swapped_bottoms(tmp_path, loss, scores, label):
    """A loss or a measure that gets its labels first says so."""
    message = error_of(tmp_path, inputs(s=scores, l=label) + layer(loss, "l s", "y"))

    assert "hint: the first bottom is for the scores, the second for the labels" in message


def test_swapped_bottoms_of_one_size(tmp_path):
    """Where the sizes cannot tell, the gradient that is asked of the labels alone can."""
    text = inputs(l=(2, 3)) + X + fully_connected("x", "g", 3) + layer("Sigmoid", "g", "f")
    message = error_of(tmp_path, text + layer("SigmoidCrossEntropyLoss", "l f", "y"))
    assert "hint: the first bottom is for the scores" in message
    both = error_of(tmp_path, text + layer("SigmoidCrossEntropyLoss", "f f", "y"))
    assert "hint: set propagate_down: false for bottom 1" in both


@pytest.mark.parametrize("label", [(2,), (2, 1)])
def test_other_sizes_are_not_called_swapped(tmp_path, label):
    """Labels that do not fit are not blamed on the order of the bottoms."""
    message = error_of(tmp_path, inputs(s=(2, 5), l=(3, *label[1:])) + layer("SoftmaxWithLoss", "s l", "y"))

    assert "wrong way round" not in message


def test_class_labels_for_yes_no_questions(tmp_path):
    """One label a sample or a pixel where each score needs a target is told of the loss that takes class labels."""
    for shape in (2,), (2, 1):
        message = error_of(tmp_path, X + inputs(l=shape) + layer("SigmoidCrossEntropyLoss", "x l", "y"))
        assert "hint: are they class labels?" in message
        assert "take SoftmaxWithLoss" in message
    image = inputs(s=(2, 3, 4, 4))
    for shape in (2, 4, 4), (2, 1, 4, 4):
        message = error_of(tmp_path, image + inputs(l=shape) + layer("SigmoidCrossEntropyLoss", "s l", "y"))
        assert "hint: are they class labels?" in message
    for scores, shape in (X, (2, 2)), (image, (2, 4)):
        text = scores + inputs(l=shape) + layer("SigmoidCrossEntropyLoss", "x l" if scores == X else "s l", "y")
        assert "class labels" not in error_of(tmp_path, text)


@pytest.mark.parametrize(("shape", "values", "words"), [
    ((3,), [0, 9, 4], "take SoftmaxWithLoss"), ((3, 1), [0, 2, 1], "take SoftmaxWithLoss"),
    ((3, 1), [0, 2.5, 1], "masks of 0 and 255"), ((3,), [0, 255, 255], "masks of 0 and 255"),
    ((3, 1, 1, 1), [-1, 1, 1], "labels of -1 and 1")])
def test_class_labels_with_one_score_a_sample(shape, values, words):
    """Whole numbers beyond 1, one a sample, are taken for class labels, other targets for what they were before."""
    net = make(inputs(x=(3, 1), t=shape) + layer("SigmoidCrossEntropyLoss", "x t", "loss"))
    net.blobs["t"].data.reshape(-1)[:] = values
    with pytest.warns(UserWarning, match=words):
        net.forward()


def test_a_warning_before_an_error_is_said_once(tmp_path, caplog):
    """An error looks for its line in the upgraded definition, which must not say a second time what was upgraded."""
    message = error_of(tmp_path, "input_dim: 3\n" + X + layer("TanH", "x", "y", "loss_weight: 1 loss_weight: 1"))

    assert message.startswith("net.prototxt:3: layer 'y' (TanH): ")
    assert 1 == sum("input_dim has no effect" in record.getMessage() for record in caplog.records)


def test_an_inner_product_of_no_features(tmp_path):
    """Rows without numbers, as a HDF5 file may hold them, are refused before the first pass."""
    message = error_of(tmp_path, inputs(x=(4, 0)) + fully_connected("x", "y", 4, name="a"))

    assert "layer 'a' (InnerProduct): bottom[0] (4, 0) has no features from axis 1" in message
