"""`minicaffe stub` on nets of which not all can be opened: missing data, missing modules, unknown fields."""

import shlex

import numpy as np
import pytest
from user_types import forgotten

from minicaffe import TEST, LayerError, Net, ProtoError
from minicaffe.cli.__main__ import main
from minicaffe.cli.user_code import import_one
from minicaffe.proto import NetParameter

DATA = 'layer { name: "d" type: "Data" top: "x" top: "label" data_param { source: "no_db" batch_size: 2 } }\n'
WARP = 'layer { name: "w" type: "FlowWarp" bottom: "x" top: "w" }\n'
INPUT = 'input: "x" input_shape { dim: [2, 3, 8, 9] }\n'
NET, SOLVER = INPUT + WARP, ""


@pytest.fixture
def stub(folder, capsys):
    """Write the net, run minicaffe stub FlowWarp on it, and return the exit status and what it said."""
    def run(net, *flags, name="net.prototxt"):
        (folder / name).write_text(net)
        status = main(["stub", "FlowWarp", name, *flags])
        return status, "".join(capsys.readouterr())

    with forgotten():
        yield run


def made(weights=()):
    import_one("flow_warp.py")
    net = Net("net.prototxt", TEST, weights=weights)
    net.forward()
    return net


def test_the_error_has_the_command_to_type(folder, stub, capsys):
    """A data layer whose source is missing needs --shape for the one top that matters; the hint's command runs."""
    status, told = stub(DATA + 'layer { name: "s" type: "Silence" bottom: "label" }\n' + WARP, "--force")
    assert 1 == status
    assert "net.prototxt:3: layer 'w' (FlowWarp): the shape of its bottom 'x' is not known: layer 'd' (Data)" in told
    command = told.split("right numbers: ")[1].strip()
    assert command == "minicaffe stub FlowWarp net.prototxt --force --shape x=2x3x224x224"

    assert 0 == main(shlex.split(command)[1:])
    assert "'w': [(2, 3, 224, 224)]" in (folder / "flow_warp.py").read_text()


@pytest.mark.parametrize("net", [
    DATA.replace("data_param", "transform_param { mean_file: 'no.mean' crop_size: 5 } data_param"),
    'layer { name: "d" type: "VideoData" top: "x" }', 'layer { name: "d" type: "Python" top: "x" python_param { '
    'module: "not_here" layer: "Reader" } }'])
def test_a_top_that_cannot_be_known_is_given(folder, stub, net):
    """Commas stand between the sizes as well as x."""
    assert 0 == stub(net + WARP, "--shape", "x=2,3,5,7")[0]
    assert "'w': [(2, 3, 5, 7)]" in (folder / "flow_warp.py").read_text()


def test_a_crop_size_tells_the_shape(folder, stub):
    """Then nothing need be given."""
    assert 0 == stub(DATA.replace("data_param", "transform_param { crop_size: 5 } data_param") + WARP)[0]
    assert "'w': [(2, 3, 5, 5)]" in (folder / "flow_warp.py").read_text()


def test_others_are_passed_with_assumed_shapes(folder, stub):
    """A Python layer without its module, and another unknown type, count as layers that keep the shape."""
    status, _ = stub(INPUT + 'layer { name: "p" type: "Python" bottom: "x" top: "p" python_param { module: "not_here" '
                     'layer: "Any" } }\nlayer { name: "o" type: "Other" bottom: "p" top: "x2" }\n'
                     'layer { name: "c" type: "Convolution" bottom: "x2" top: "c" convolution_param { num_output: 4 '
                     'kernel_size: 3 } }\n' + WARP.replace('"x"', '"c"'))
    text = (folder / "flow_warp.py").read_text()

    assert 0 == status
    assert "# bottoms: 'c' (2, 4, 6, 7)" in text
    assert "# The shape of 'x2', a top of layer 'o' (Other), is assumed." in text


def test_a_layer_that_does_not_fit_an_assumed_shape(stub):
    """The top of that layer can be given, and the message says why it must."""
    status, told = stub(INPUT + 'layer { name: "o" type: "Other" bottom: "x" top: "o" }\nlayer { name: "c" type: '
                        '"Reshape" bottom: "o" top: "c" reshape_param { shape { dim: 5 dim: -1 } } }\n'
                        + WARP.replace('"x"', '"c"'))
    assert 1 == status
    assert "layer 'c' (Reshape) cannot be made" in told
    assert "--shape c=" in told


def test_learnable_blobs(folder, stub):
    """One for each `param`, of a shape to fill in; with weights, of the shapes that these have."""
    net = INPUT + WARP.replace('top: "w"', 'top: "w" param { lr_mult: 1 } param { lr_mult: 2 }')
    assert 0 == stub(net)[0]
    assert "(1,) stands where the shape is not known" in (folder / "flow_warp.py").read_text()
    with forgotten():
        assert [(1,), (1,)] == [blob.shape for blob in made().params["w"]]

    weights = NetParameter()
    layer = weights.layer.add(name="w", type="FlowWarp")
    layer.blobs.add(data=range(6)).shape.dim[:] = [2, 3]
    layer.blobs.add(data=[7]).shape.dim[:] = [1]
    (folder / "w.caffemodel").write_bytes(weights.SerializeToString())
    assert 0 == stub(net, "--weights", "w.caffemodel", "--force")[0]
    with forgotten():
        assert np.array_equal(np.arange(6).reshape(2, 3), made("w.caffemodel").params["w"][0].data)

    status, told = stub(INPUT + WARP.replace('"w"', '"v"'), "--weights", "w.caffemodel", "--force")
    assert (1, True) == (status, "it has no blobs for 'v'" in told)


@pytest.mark.parametrize("name", ["net.prototxt", "net.yaml"])
def test_fields_that_the_schema_does_not_know(folder, stub, name):
    """They are left out to find the shapes, a comment names them, and to use the net is still an error."""
    net = INPUT + WARP.replace(" }", " flow_warp_param { fill: ZERO } }")
    if name.endswith(".yaml"):
        net = "input: [x]\ninput_shape: [{dim: [2, 3, 8, 9]}]\nlayer:\n- {name: w, type: FlowWarp, bottom: [x], " \
              "top: [w], warp_param: {fill: 1}}\n"
    known = hasattr(NetParameter().layer.add(), "flow_warp_param")
    net = net.replace("flow_warp_param", "warp_param") if known else net
    assert 0 == stub(net, name=name)[0]
    text = (folder / "flow_warp.py").read_text()

    assert "'w': [(2, 3, 8, 9)]" in text
    assert "warp_param" in text.split("SHAPES")[0]
    with pytest.raises(ProtoError, match="has no field"):
        Net(name, TEST)


def test_in_place_and_backward(folder, stub):
    """A layer that runs in place keeps the shape; its stub runs forward and backward."""
    net = INPUT + 'force_backward: true\nlayer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" ' \
        'inner_product_param { num_output: 4 } }\n' + WARP.replace('"x"', '"ip"').replace('top: "w"', 'top: "ip"')
    assert 0 == stub(net)[0]
    assert "in place: that of the bottom" in (folder / "flow_warp.py").read_text()
    net = made()
    net.backward()
    assert 0 == abs(net.params["ip"][0].diff).max()


def test_an_old_net(folder, capsys):
    """A type of an enum of old nets is asked for by its name of today."""
    (folder / "old.prototxt").write_text(INPUT + 'layers { name: "n" type: LRN_MAP bottom: "x" top: "n" blobs_lr: 1 }')
    with pytest.raises(LayerError) as caught:
        Net("old.prototxt", TEST)
    command = caught.value.hint.split("; ")[-1].removesuffix(" writes a Python layer to fill in")
    assert command == "minicaffe stub LRNMap old.prototxt"

    with forgotten():
        assert 0 == main(shlex.split(command)[1:])
        import_one("lrn_map.py")
        assert (2, 3, 8, 9) == Net("old.prototxt", TEST).blobs["n"].shape


def test_a_message_of_several_lines(folder, stub):
    """What the net sets stands in comments, each of which ends before the margin."""
    words = " ".join(f"dim: {i}" for i in range(90))
    assert 0 == stub(INPUT + WARP.replace(" }", f" reshape_param {{\n shape {{ {words} }} }} }}"))[0]
    text = (folder / "flow_warp.py").read_text()

    assert "# 'w': reshape_param { shape { dim: 0 dim: 1" in text
    assert "dim: 89 } }" in text
    assert max(map(len, text.splitlines())) <= 120
    made()


@pytest.mark.parametrize(("phase", "flags"), [("TEST", ""), ("TRAIN", " --phase TRAIN")])
def test_the_error_of_an_unknown_type_names_the_command(folder, phase, flags):
    """With its file and its phase, also for a type of no fork; a file's name with a blank is quoted."""
    (folder / "my net.prototxt").write_text(INPUT + WARP.replace("FlowWarp", "Qwertz"))
    with pytest.raises(LayerError) as caught:
        Net("my net.prototxt", ["TRAIN", "TEST"].index(phase))

    assert caught.value.hint.endswith(f"; minicaffe stub Qwertz 'my net.prototxt'{flags} writes a Python layer to "
                                      "fill in")


def test_a_shape_of_a_top_that_is_not_there(stub):
    """It is refused: a mistyped name would have no effect."""
    status, told = stub(INPUT + WARP, "--shape", "ww=2x3x4x5")
    assert (1, True) == (status, "no layer makes 'ww'" in told)
