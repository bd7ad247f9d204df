"""Python layers as scripts write them for pycaffe: what they find on themselves, and what is theirs alone."""

import copy
import subprocess
import sys
import traceback

import numpy as np
import pytest

from minicaffe import LayerError, register
from minicaffe import pycaffe as caffe
from minicaffe.blob import BlobVec
from minicaffe.layer import Layer as CoreLayer
from minicaffe.layer import source_of
from minicaffe.layers import PythonLayer
from minicaffe.net import Net as CoreNet
from minicaffe.proto import NetParameter, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.pycaffe import alias
from minicaffe.solvers import get_solver

LAYERS = '''
import json
import caffe
import numpy as np

NAMES = ()


class Scale(caffe.Layer):
    """Multiply by a learned number."""

    def setup(self, bottom, top):
        self.blobs.add_blob(1, 2)
        self.blobs[0].data[...] = json.loads(self.param_str)["factor"]

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = self.blobs[0].data[0, 0] * bottom[0].data

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[0, 0] += (top[0].diff * bottom[0].data).sum()
        if propagate_down[0]:
            bottom[0].diff[...] = self.blobs[0].data[0, 0] * top[0].diff


class Hostile(Scale):
    """The same layer, with attributes of its own under all names that the framework uses for its layers."""

    bottoms, tops, in_place, backward_reads, users_code = 7, "many", None, None, False

    def setup(self, bottom, top):
        Scale.setup(self, bottom, top)
        for name in NAMES:
            setattr(self, name, f"my {name}")


class OwnInit(Scale):
    def __init__(self, p):
        super().__init__(p)
        self.blobs.add_blob(1, 2)
        self.made = 1

    def setup(self, bottom, top):
        self.blobs[0].data[...] = 3


class NoSuper(OwnInit):
    def __init__(self, p, more=()):
        self.blobs.add_blob(1, 2)
        self.made = 2


class Loss(caffe.Layer):
    """Half the squared distance of two bottoms, averaged over their rows. It keeps arrays named as Blob's are."""

    def reshape(self, bottom, top):
        a, b = bottom
        self.diff = np.empty(a.data.shape, np.float32)
        top[0].reshape(1)

    def forward(self, bottom, top):
        a, b = bottom
        np.subtract(a.data, b.data, out=self.diff)
        top[0].data[0] = 0.5 * np.square(self.diff).sum() / a.num

    def backward(self, top, propagate_down, bottom):
        gradient = self.diff * (top[0].diff[0] / bottom[0].num)
        for blob, wanted, value in zip(bottom, propagate_down, (gradient, -gradient)):
            if wanted:
                blob.diff[...] = value


class Rows(caffe.Layer):
    """A data layer that counts on from batch to batch, and shapes its tops in setup alone."""

    def setup(self, bottom, top):
        self.batch_size, self.cursor, self.keys, self.epoch_size = 2, 0, ["a"], "long"
        self.params = eval(self.param_str_)
        top[0].reshape(self.batch_size, self.params["channels"])
        top[1].reshape(self.batch_size, self.params["channels"])

    def set_rows(self, rows):
        self.rows = rows

    def reshape(self, bottom, top):
        pass

    def forward(self, bottom, top):
        for i in range(self.batch_size):
            top[0].data[i, ...] = self.rows[self.cursor % len(self.rows)]
            top[1].data[i, ...] = 10 * self.rows[self.cursor % len(self.rows)]
            self.cursor += 1

    def backward(self, top, propagate_down, bottom):
        raise AssertionError("nothing flows back into data")


class Forwards(caffe.Layer):
    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].num, bottom[0].channels, bottom[0].height, bottom[0].width)

    def forward(self, bottom, top):
        top[0].data[...] = self.phase


class Shapeless(caffe.Layer):
    def forward(self, bottom, top):
        pass


class Told(caffe.Layer):
    """Does what param_str says in each of its methods."""

    def __init__(self, param):
        super().__init__(param)
        self.kept = []

    def do(self, method, *given):
        when, _, what = self.param_str.partition(": ")
        if when == method:
            exec(what, globals(), {"self": self, "given": given})

    def setup(self, bottom, top):
        self.do("setup", bottom, top)

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])
        self.do("reshape", bottom, top)

    def forward(self, bottom, top):
        self.do("forward", bottom, top)

    def backward(self, top, propagate_down, bottom):
        self.do("backward", top, propagate_down, bottom)
'''
INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A current folder with a module of layers that says `import caffe`; the name of the module."""
    (tmp_path / "scripts_layers.py").write_text(LAYERS)
    monkeypatch.chdir(tmp_path)
    yield "scripts_layers"
    for name in ("scripts_layers", "needs_python_3"):
        sys.modules.pop(name, None)


def one(name, bottom="x", top="y", param_str="{}", more=""):
    """A Python layer in a prototxt."""
    blobs = "".join(f" bottom: {b!r}" for b in bottom.split()) + "".join(f" top: {t!r}" for t in top.split())
    return f"layer {{ name: {name.lower()!r} type: 'Python'{blobs} {more} python_param {{ module: 'scripts_layers' " \
           f"layer: {name!r} param_str: {param_str!r} }} }}\n"


def made(text, phase=caffe.TRAIN, cls=caffe.Net, **options):
    return cls(proto_text.parse(text, NetParameter()), phase, **options)


def told(what, phase=caffe.TRAIN):
    return made("force_backward: true " + INPUT + one("Told", param_str=what), phase)


def trained(name):
    """The solver of a net with a Python layer, after two steps."""
    net = INPUT + one(name, param_str='{"factor": 4}') + \
        'layer { name: "sum" type: "Reduction" bottom: "y" top: "loss" loss_weight: 1 }'
    solver = get_solver(proto_text.parse(f'net_param {{ {net} }} base_lr: 0.25 lr_policy: "fixed"', SolverParameter()),
                        net_class=caffe.Net)
    if name == "Hostile":
        assert solver.net.layers[1].user_layer.rng == "my rng"
    solver.net.blobs["x"].data[...] = [[1, 2, 3], [4, 5, -6]]
    solver.step(2)
    return solver


def test_attributes_of_the_user_change_nothing(module, tmp_path):
    """A layer whose own attributes have all names of the framework's computes, learns and is saved like one without."""
    plain = trained("Scale")
    mine = set(dir(PythonLayer)) | set(vars(plain.net.layers[1])) | {"param_str", "phase"}
    kept = {"blobs", "setup", "reshape", "forward", "backward"}  # these two know as the same
    sys.modules[module].NAMES = sorted(name for name in mine - kept if not name.startswith("__"))
    hostile = trained("Hostile")

    assert {"name", "rng", "layer_param", "tops", "bottoms", "param", "type", "dtype", "Forward", "scratch", "check",
            "loss_weights", "fail", "runs_backward", "shapes_only"} <= set(sys.modules[module].NAMES)
    assert hostile.net.params["hostile"][0].data.tolist() == plain.net.params["scale"][0].data.tolist() != [[4, 4]]
    np.testing.assert_array_equal(hostile.net.blobs["x"].diff, plain.net.blobs["x"].diff)
    layer = hostile.net.layers[1]
    assert (layer.type, layer.name, layer.phase, layer.tops) == ("Python", "hostile", caffe.TRAIN, (0, None))
    assert repr(layer) == "<Hostile 'hostile'>"
    hostile.net.save("w.caffemodel")
    hostile.net.params["hostile"][0].data[...] = 0
    hostile.net.copy_from("w.caffemodel")
    assert hostile.net.params["hostile"][0].data.tolist() == plain.net.params["scale"][0].data.tolist()


def test_what_scripts_do_with_a_nets_layer(module):
    """Methods, attributes and settings from outside reach the user's object."""
    net = made(one("Rows", "", "x t", "{'channels': 3}") + one("Loss", "x t", "loss", more="loss_weight: 2"))
    data = net.layers[0]
    data.set_rows(np.arange(1, 10).reshape(3, 3))
    net.forward()
    first = net.blobs["x"].data.tolist()
    data.cursor = 1
    data.another = "kept by the user's layer"

    assert first == [[1, 2, 3], [4, 5, 6]]
    assert net.forward()["loss"] == 81 * np.sum(np.square([4, 5, 6, 7, 8, 9])) / 4
    assert (data.cursor, data.user_layer.cursor, data.user_layer.another) == (3, 3, "kept by the user's layer")
    assert data.params == {"channels": 3}
    assert isinstance(data.user_layer, sys.modules[module].Rows)
    assert not hasattr(data, "not_there")
    with pytest.raises(AttributeError, match="'Rows' object has no attribute 'not_there'"):
        _ = data.not_there


def test_a_loss_with_a_weight(module):
    """The weight stands in the diff of the top, and is a factor of the net's loss."""
    two = 'layer { name: "x" type: "Input" top: "x" top: "t" input_param { shape { dim: 2 dim: 3 } } }'
    net = made("force_backward: true " + two + one("Loss", "x t", "loss", more="loss_weight: 3"))
    net.blobs["x"].data[...] = 2
    net.blobs["t"].data[...] = -1

    assert net.forward_backward() == 3 * 6 * 9 / 2 / 2
    np.testing.assert_array_equal(net.blobs["x"].diff, np.full((2, 3), 3 * 3 / 2))
    np.testing.assert_array_equal(net.blobs["t"].diff, np.full((2, 3), -3 * 3 / 2))


def test_state_of_a_user_is_no_data_source(module):
    """Attributes such as cursor and keys make a script's layer no data layer of ours, and warn of nothing."""
    assert source_of(made(one("Rows", "", "x t", "{'channels': 3}")).layers[0]) is None


@pytest.mark.parametrize(("name", "value"), [("OwnInit", 1), ("NoSuper", 2)])
def test_a_constructor_of_its_own(module, name, value):
    """It may add blobs, in the number type of the net, and need not call the one of caffe.Layer."""
    net = made(INPUT + one(name), dtype=np.float64)
    net.blobs["x"].data[...] = 5

    assert net.layers[1].made == value
    assert net.forward()["y"].tolist() == [[15, 15, 15], [15, 15, 15]]
    assert net.params[name.lower()][0].dtype is np.float64
    assert net.params[name.lower()] is net.layers[1].user_layer.blobs
    assert type(net.layers[1].blobs) is BlobVec


@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
def test_the_phase_and_old_sizes(module, phase):
    """A layer without setup and backward runs, knows its phase and reads num, channels, height and width."""
    net = made(INPUT + one("Forwards"), phase)

    assert net.forward()["y"].shape == (2, 3, 1, 1)
    assert np.all(net.blobs["y"].data == phase)


def test_a_copy_of_a_net(module):
    """copy.deepcopy copies the user's object, too; the copy's weights are its own."""
    net = made(INPUT + one("Scale", param_str='{"factor": 4}'))
    other = copy.deepcopy(net)
    other.layers[1].blobs[0].data[...] = 9
    for each in (net, other):
        each.blobs["x"].data[...] = 1
        each.forward()

    assert (net.blobs["y"].data[0, 0], other.blobs["y"].data[0, 0]) == (4, 9)
    assert other.layers[1].user_layer.blobs is other.layers[1].blobs


@pytest.mark.parametrize("method", ["setup", "reshape", "forward", "backward"])
@pytest.mark.parametrize("error", ["ValueError", "KeyError", "RuntimeError", "StopIteration", "SystemExit",
                                   "KeyboardInterrupt", "AssertionError"])
def test_an_exception_keeps_its_type(module, method, error):
    """Scripts catch what their layers raise; the traceback ends in the user's line, and the layer is named."""
    def run():
        net = told(f"{method}: raise {error}('of mine')")
        net.forward()
        net.backward()

    kind = getattr(__import__("builtins"), error)
    with pytest.raises(kind, match="of mine") as caught:
        run()

    assert type(caught.value) is kind
    shown = "".join(traceback.format_exception(caught.value))
    assert "LayerError" not in shown
    assert "in do\n" in shown
    if sys.version_info >= (3, 11) and error != "KeyboardInterrupt":
        assert caught.value.__notes__ == [f"layer 'told' (Python): Told.{method} raised this error"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes before Python 3.11")
def test_the_cure_comes_along(module, tmp_path):
    """An exception of Python's own has our hint in its note: here the file is in Python 2."""
    (tmp_path / "scripts_layers.py").write_text("import caffe\nprint 'loaded'\n")
    with pytest.raises(SyntaxError) as caught:
        made(INPUT + one("Scale"))
    assert caught.value.__notes__[0].startswith("layer 'scale' (Python): importing scripts_layers raised this error\n"
                                                "  hint: scripts_layers.py:2: this is Python 2: print is a function")


def test_the_context_of_an_exception_stays(module):
    """An error that came while another was handled, or from another, shows that one and none of ours."""
    net = told("forward: \ntry:\n    {}['a']\nexcept KeyError as error:\n    raise ValueError('no a') from error")
    with pytest.raises(ValueError, match="no a") as caught:
        net.forward()
    assert isinstance(caught.value.__cause__, KeyError)
    assert isinstance(caught.value.__context__, KeyError)
    net = told("forward: 1 / 0")
    with pytest.raises(ZeroDivisionError) as caught:
        net.forward()
    assert caught.value.__context__ is caught.value.__cause__ is None


@pytest.mark.parametrize("run", [lambda net: net.forward(), lambda net: net.reshape(), lambda net: net.forward_pass()])
def test_each_call_of_a_net_raises_it(module, run):
    """Every way to run a layer's code from a script."""
    net = told("reshape: \nif self.kept: raise KeyError('second')\nself.kept.append(1)")
    net.layers[1].kept = [1]
    with pytest.raises(KeyError, match="second"):
        run(net)


@pytest.mark.parametrize("when", ["setup", "forward", "backward"])
@pytest.mark.parametrize("error", ["KeyError", "StopIteration", "SystemExit"])
def test_solvers_raise_it(module, tmp_path, when, error):
    """So do the constructor of a solver, step and solve."""
    (tmp_path / "net.prototxt").write_text("force_backward: true " + INPUT + one(
        "Told", param_str=f"{when}: raise {error}('of mine')", more="loss_weight: 1"))
    (tmp_path / "solver.prototxt").write_text('net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1')
    kind = getattr(__import__("builtins"), error)
    if when == "setup":
        with pytest.raises(kind, match="of mine"):
            caffe.SGDSolver("solver.prototxt")
        return
    solver = caffe.get_solver("solver.prototxt")
    with pytest.raises(kind, match="of mine"):
        solver.step(1)
    with pytest.raises(kind, match="of mine"):
        solver.solve()


@pytest.mark.parametrize("kind", ["StopIteration", "Sealed"])
def test_every_error_becomes_a_layer_error_in_the_core(module, kind):
    """Python's own rules for StopIteration let none out, and neither does a class that takes no further attribute."""
    what = "class Sealed(Exception):\n    def __setattr__(self, name, value): raise TypeError('sealed')\n"
    with alias.installed():
        net = made(INPUT + one("Told", param_str=f"forward: {what}raise {kind}('of mine')"), cls=CoreNet)
    with pytest.raises(LayerError, match=rf"layer 'told' \(Python\): Told.forward raised {kind}: of mine"):
        net.forward_pass()


@pytest.mark.parametrize("method", ["setup", "reshape", "forward", "backward"])
def test_a_layer_may_import_caffe_while_it_runs(module, method):
    """Not only at the head of its file: each method may, and afterwards `caffe` is nobody's again."""
    net = told(f"{method}: import caffe.io; self.kept.append(caffe.io.__name__)")
    net.forward()
    net.backward()
    assert net.layers[1].kept[0] == "minicaffe.pycaffe.io"
    assert "caffe" not in sys.modules


def test_the_core_says_it_in_one_message(module):
    """minicaffe's own Net raises a LayerError as before, from the user's error; `original` is that error."""
    with alias.installed():
        net = made(INPUT + one("Told", param_str="forward: raise KeyError('mine')"), cls=CoreNet)
    with pytest.raises(LayerError, match=r"(?s)layer 'told' \(Python\): Told\.forward raised KeyError: 'mine'.*in do"
                       ) as caught:
        net.forward()

    assert isinstance(caught.value.original, KeyError)
    assert caught.value.__cause__ is caught.value.original


@pytest.mark.parametrize(("what", "message"), [
    ("forward: given[1][0] = given[0][0].data * 2", r"Told\.forward has put other objects in the place of"),
    ("setup: given[1].clear()", r"Told\.setup has put other objects in the place of .*: none"),
    ("setup: given[1][0].reshape(-3)", r"Told\.setup raised LayerError: .*negative"),
])
def test_mistakes_that_python_does_not_notice(module, what, message):
    """Each is a RuntimeError with the layer's name and the cure."""
    with pytest.raises(RuntimeError, match=r"(?s)layer 'told' \(Python\): .*" + message):
        told(what).forward()


def test_the_lists_are_the_users(module):
    """What a layer does to the list of flags changes nothing, and it may keep the lists of blobs."""
    net = told("backward: given[1][0] = False; self.kept = given")
    net.forward()
    net.backward()

    assert net.plan.bottoms[1] == [True]
    assert net.layers[1].kept[1] == [False]
    assert net.layers[1].kept[0] == [net.blobs["y"]]


def test_blobs_cannot_be_replaced(module):
    """As in pycaffe, `blobs` has no setter."""
    with pytest.raises(AttributeError):
        told("setup: self.blobs = []")


def test_a_missing_method(module):
    """Without reshape no net is made; without backward a net runs forward alone. The error names the method."""
    with pytest.raises(NotImplementedError, match="Shapeless has no reshape"):
        made(INPUT + one("Shapeless"))
    net = made("force_backward: true " + INPUT + one("Forwards"))
    net.forward()
    with pytest.raises(AttributeError, match="'Forwards' object has no attribute 'backward'"):
        net.backward()
    with pytest.raises(LayerError, match=r"Forwards\.backward raised AttributeError.*\n.*a layer must write"):
        CoreNet.backward_pass(net)


def test_a_subclass_of_minicaffes_layer(module, tmp_path):
    """It is used as it is, with all that minicaffe's layers have; the net's layer is an instance of the class."""
    (tmp_path / "scripts_layers.py").write_text(
        "import minicaffe\nclass Own(minicaffe.Layer):\n    bottoms = 1\n    def setup(self, bottom, top):\n"
        "        self.add_blob((3,)).data[...] = self.rng.integers(5, 6)\n    def reshape(self, bottom, top):\n"
        "        self.mine = self.scratch((2, 3))\n        top[0].reshape_like(bottom[0])\n"
        "    def forward(self, bottom, top):\n        self.mine[...] = self.blobs[0].data\n"
        "        top[0].data[...] = self.mine\n        if self.name != 'own': self.fail('has another name')\n")
    net = made(INPUT + one("Own"))

    assert net.forward()["y"].tolist() == [[5, 5, 5], [5, 5, 5]]
    assert isinstance(net.layers[1], sys.modules[module].Own)
    assert issubclass(sys.modules[module].Own, CoreLayer)


def test_a_scripts_layer_is_no_type_of_its_own():
    """`register` is for subclasses of minicaffe.Layer, and says so."""
    with pytest.raises(LayerError, match=r"MineLayer is a subclass of pycaffe's caffe.Layer.*\n.*type: \"Python\""):
        @register("Mine")
        class MineLayer(caffe.Layer):
            pass


def test_another_caffe_in_the_process(module, tmp_path):
    """It is left alone; a layer that is derived from its Layer is refused, and the message says why."""
    (tmp_path / "caffe").mkdir()
    (tmp_path / "caffe" / "__init__.py").write_text("class Layer:\n    pass\n")
    (tmp_path / "run.py").write_text(
        "import caffe\nfrom minicaffe import pycaffe\ntry:\n    pycaffe.Net('net.prototxt', 0)\n"
        "except RuntimeError as error:\n    print(error)\nassert not hasattr(caffe, 'Net')\n")
    (tmp_path / "net.prototxt").write_text(INPUT + one("Forwards"))
    said = subprocess.run([sys.executable, "run.py"], capture_output=True, text=True, check=True).stdout

    assert "scripts_layers.Forwards must be a subclass of minicaffe.layer.Layer or of minicaffe.pycaffe.Layer" in said
    assert f"its caffe.Layer is that of another Caffe ({tmp_path}/caffe/__init__.py)" in said


def test_an_import_of_caffe_afterwards(module):
    """Only while a net is made does `import caffe` give ours: a real Caffe may be imported afterwards."""
    made(INPUT + one("Forwards"))

    assert "caffe" not in sys.modules
