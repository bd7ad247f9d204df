"""That a new layer type needs no edit outside its own file: what others know of a type, they ask the type.

Each type here is registered by its test alone. It answers a question in its own way, and the part of minicaffe that
asks it (forecasts, nets, the linter, the doctor) goes by the answer.
"""

import ast
from pathlib import Path

import numpy as np
import pytest
from extras import needs, needs_tiles
from net_tools import fully_connected, inputs, layer, make

from minicaffe import TEST, kernels, lint
from minicaffe.analysis.cost import cost
from minicaffe.cli import summary
from minicaffe.errors import LayerError, SolverError
from minicaffe.layer import Layer, LossLayer, layer_class, registered_types, registry
from minicaffe.proto import Phase, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver
from minicaffe.solvers.doctor import plateau
from minicaffe.solvers.doctor.doctor import Doctor
from minicaffe.solvers.resume import resume_file
from minicaffe.testing import check_net


class Same(Layer):
    """y = x in memory of its own: the rest of a layer, of which each test changes one trait."""

    def reshape(self, bottom, top):
        for x, y in zip(bottom, top, strict=False):
            y.reshape_like(x)

    def forward(self, bottom, top):
        for x, y in zip(bottom, top, strict=False):
            y.data[...] = x.data

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff


class Loss(LossLayer):
    """The sum of x: the rest of a loss."""

    def reshape(self, bottom, top):
        top[0].reshape(())

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data.sum()

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff.fill(float(top[0].diff))


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """A training that meets a NaN leaves a failure file in the current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def known(monkeypatch):
    """Register a subclass of a base under a type's name, for one test alone."""
    def register(name, base=Same, **members):
        cls = type(f"{name}Layer", (base,), {"type": name, **members})
        monkeypatch.setitem(registry._types, name, cls)
        return cls
    return register


def train(text, iterations=1):
    """A solver on the net of a text, which a doctor watches; what the doctor says where a value is not finite."""
    solver = get_solver(proto_text.parse(f'net_param {{ {text} }} base_lr: 0.1 lr_policy: "fixed"', SolverParameter()))
    Doctor(solver)
    with pytest.raises(SolverError) as error:
        solver.step(iterations)
    return str(error.value)


# --- nets ---------------------------------------------------------------------------------------------------

def test_an_input(known):
    """The tops of a type that is an input are the net's inputs, which Net and linter ask for."""
    known("Sensor", reshape=lambda self, bottom, top: top[0].reshape(2, 3), bottoms=0, is_input=True)
    net = make(layer("Sensor", "", "x") + fully_connected("x", "y", 2, "loss_weight: 1"))

    assert ["x"] == net.inputs
    assert ["unfilled-input"] == [one.rule for one in lint.check(net, alone=True)]


def test_users_code(known):
    """A type that runs users' code may keep a top from an earlier pass and may draw from other generators."""
    known("Script", users_code=True)
    text = inputs(x=(2, 3)) + layer("TanH", "x", "a") + layer("Script", "a", "b") + layer("TanH", "b", "c")
    net = make(text, TEST, reuse_memory=True)
    solver = get_solver(proto_text.parse(f'net_param {{ {text} }} base_lr: 0.1 lr_policy: "fixed"', SolverParameter()))

    assert ["x", "b", "c"] == list(net.blobs)
    assert {"ours", "numpy", "python"} == set(resume_file._random_state(solver))
    with pytest.raises(LayerError, match=r"layer 'b' .* not allowed here"):
        make(text, TEST, allow_python=False)


@pytest.mark.parametrize("recordable", [True, False])
def test_recordable(known, monkeypatch, recordable):
    """A type that is recordable is played from a recording in the third pass; another runs by itself."""
    needs_tiles()
    relu, ran = layer_class("ReLU"), []

    def forward(self, bottom, top):
        ran.append(self.name)
        relu.forward(self, bottom, top)

    known("Rectify", relu, forward=forward, recordable=recordable)
    net = make(inputs(x=(2, 3)) + layer("Rectify", "x", "y"), TEST, dtype=np.float32)
    for _ in range(3):
        net.forward()

    assert (2 if recordable else 3) == len(ran)
    np.testing.assert_array_equal(np.maximum(net.blobs["x"].data, 0), net.blobs["y"].data)


# --- forecasts ----------------------------------------------------------------------------------------------

def test_multiply_adds(known):
    """A forecast counts the multiply-adds that a type says it does."""
    known("Sum", multiply_adds=lambda self, bottom, top: 7 * bottom[0].count)

    assert 7 * 6 == cost(make(inputs(x=(2, 3)) + layer("Sum", "x", "y"))).multiply_adds


def test_recurrent(known, tmp_path):
    """The batch of a type that goes through time is its sequences; `--batch` changes those, not the time steps."""
    known("GRU", bottoms=2, recurrent=True)
    net = tmp_path / "net.prototxt"
    net.write_text(inputs(x=(5, 2, 3), cont=(5, 2)) + layer("GRU", "x cont", "y"))
    found = cost(summary.read(str(net), Phase.Value("TRAIN"), batch=7)[0])

    assert (5, 7) == (found.steps, found.batch)
    assert [(5, 7, 3)] == found.layers[-1].shapes


def test_can_dry_run(known):
    """A dry run finds what the kernels of a type borrow where the type says that it can take part."""
    needs("numba")
    convolution = layer_class("Convolution")
    own = {"forward": convolution.forward, "backward": convolution.backward}
    known("Filters", convolution, can_dry_run=True, **own)
    known("Unknown", convolution, **own)

    def borrowed(kind):
        text = inputs(x=(2, 8, 16, 16)) + layer(
            kind, "x", "y", "convolution_param { num_output: 8 kernel_size: 3 pad: 1 }")
        return cost(make(text, TEST, np.float32, shapes_only=True)).borrowed[0]

    assert borrowed("Convolution") == borrowed("Filters")
    assert borrowed("Unknown") == 0
    assert borrowed("Filters") > 0 or kernels.engine() != "numba"


# --- the linter ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("passes_on", "want"), [(True, ["softmax-twice"]), (False, [])])
def test_a_loss_that_contains_an_activation(known, passes_on, want):
    """A loss that takes the softmax itself is found behind a Softmax, and behind a type that hands numbers on."""
    known("Copy", passes_on=passes_on)
    known("Surprise", Loss, contains="Softmax", axis=1)
    net = make(inputs(x=(2, 3), label=(2,)) + fully_connected("x", "f", 3) + layer("Softmax", "f", "p")
               + layer("Copy", "p", "q") + layer("Surprise", "q label", "loss"))

    assert want == [one.rule for one in lint.check(net, alone=True) if one.rule != "unfilled-input"]


@pytest.mark.parametrize(("side_effects", "severity"), [(True, lint.WARNING), (False, lint.ERROR)])
def test_side_effects(known, side_effects, severity):
    """A net without a loss may have a use where a type has effects beside its tops; else it is an error."""
    known("Count", side_effects=side_effects)
    net = make(layer("DummyData", "", "x", "dummy_data_param { shape { dim: 2 dim: 3 } }") + layer("Count", "x", "y"))

    found = lint.check(net, alone=True)

    assert [("no-loss", severity)] == [(one.rule, one.severity) for one in found]


# --- the doctor ---------------------------------------------------------------------------------------------

DATA = layer("DummyData", "", "x t", "dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 dim: 3 } }", name="d")


def test_why_not_finite(known):
    """The doctor quotes what a type says of its own formula."""
    def forward(self, bottom, top):
        top[0].data.fill(np.inf)

    known("Pole", forward=forward, why_not_finite=lambda self, bottom: f"{bottom[0].shape} lies on the pole")
    text = DATA + fully_connected("x", "f", 3) + layer("Pole", "f", "y") + layer("EuclideanLoss", "y t", "loss")

    assert "1. (4, 3) lies on the pole" in train(text)


def test_missing_statistics(known):
    """The doctor names a layer that goes by statistics of which it has none as the first cause."""
    known("Whiten", missing_statistics=lambda self: "has seen no data: measure them first")
    inf = layer("Power", "y", "z", "power_param { power: -1 }")
    text = DATA + layer("Whiten", "x", "y") + inf + fully_connected("z", "f", 3) + layer("EuclideanLoss", "f t", "loss")

    assert "1. layer 'y' (Whiten) has seen no data: measure them first" in train(text)


def test_why_unbounded(known):
    """The doctor quotes why a loss has no least value."""
    known("Endless", Loss, why_unbounded=lambda self, bottom: f"the {bottom[1].count} targets are endless",
          forward=lambda self, bottom, top: top[0].data.fill(np.nan))
    text = DATA + fully_connected("x", "f", 3) + layer("Endless", "f t", "loss")

    assert "the 12 targets are endless" in train(text)


def test_known_numbers_of_a_loss(known):
    """The hint about a loss that stays where it is goes by what the loss says: −ln of its least probability, ln C for
    C classes, and ln 2 for each answer of yes or no."""
    known("Classes", Loss, least_probability=0.125, classes=5)
    known("Answers", Loss, yes_no_answers=lambda self, bottom: 3.0)
    net = make(inputs(x=(2, 3), t=(2, 3)) + "".join(
        layer(kind, "x t", kind.lower()) for kind in ("Classes", "Answers", "EuclideanLoss")))
    found = [[value for value, _ in one._known_numbers()] for one in plateau.of_net(net)]

    assert [pytest.approx([np.log(8), np.log(5)]), pytest.approx([3 * np.log(2)])] == found


# --- no table of types ----------------------------------------------------------------------------------------

# Folders that are about types by name: other formats have a form for each, and steps of the course build some.
ABOUT_TYPES = ("layers/", "passes/", "convert/onnx_out/layers/", "convert/torch_out/layers/", "convert/onnx_in/",
               "course/steps/")
ALLOWED = {  # names of types that may stand outside layers/ and passes/; a new type adds none
    "cli/convert.py": {"Convolution", "Deconvolution", "InnerProduct"},  # types in files from before 2015
    "cli/stub_shapes.py": {"Eltwise", "EuclideanLoss", "SigmoidCrossEntropyLoss", "SmoothL1Loss",  # of equal shapes
                           "Python", "Input"},                           # and what a layer of users' code becomes
    "net/prior_boxes.py": {"PriorBox", "DetectionOutput",                # whose boxes two forks lay otherwise
                           "Concat", "Flatten", "Permute", "Reshape"},   # and what stands between
    "io/renumber.py": {"LSTM", "RNN", "ROIAlign"},                       # whose numbers differ between forks
    "analysis/resize.py": {"Input"},                                     # what a layer without its source becomes
    "cli/upgrade.py": {"BatchNorm"},                                     # the type whose fields one upgrade changes
    "solvers/doctor/failure.py": {"Input"},                              # the same
    "trace/inputs.py": {"Input"},                                        # what a layer becomes that is given arrays
    "testing/twin.py": {"Input"},                                        # what a data layer becomes, with its batch
    "drawing/definition.py": {"Input"},                                  # what makes a bottom that no layer makes
    "drawing/words.py": {"Split"},                                       # the word in '11 layers and 2 Splits'
    "layer/registry.py": {"Lstm", "PReLU", "ReLU", "TanH"},              # acronyms, in the names of modules
    "lint/pairs.py": {"Data", "ImageData"},                              # two that one rule compares with each other
    "lint/subjects.py": {"DummyData"},                                   # what lint puts in place of a data layer
    "layer/script_layer.py": {"Python"},                                 # the type of all these layers
    # Caffe's own lists, by name: the layers that it maps, and those of which its drawings say more
    "pycaffe/coord_map.py": {"AbsVal", "BNLL", "BatchNorm", "Bias", "Convolution", "Crop", "Deconvolution", "Dropout",
                             "ELU", "Eltwise", "Exp", "Im2col", "LRN", "Log", "MVN", "PReLU", "Pooling", "Power",
                             "ReLU", "Scale", "Sigmoid", "Split", "TanH", "Threshold"},
    "pycaffe/draw.py": {"Convolution", "Data", "Deconvolution", "InnerProduct", "Pooling"},
    "pycaffe/net_spec.py": {"Parameter"},                                # the ending of the messages' names
    # nets that leave and enter: what a data layer becomes, and the copies that nets add
    "cli/from_onnx.py": {"Input"}, "cli/leaving.py": {"Input", "Python"}, "cli/to_torch.py": {"Input"},
    "convert/onnx_out/stages.py": {"Split"},
    "convert/onnx_out/model.py": {"Split"},
    "convert/onnx_out/nodes.py": {"Concat", "Reshape", "Slice"},         # names of ONNX's operators
    "convert/onnx_out/tidy.py": {"Tile"},                                # the same
    "convert/proof.py": {"Sigmoid", "Softmax", "TanH"},                  # types with a largest number that all know
    "convert/torch_out/proof.py": {"BatchNorm", "Dropout", "Pooling", "SPP"},  # types that draw or remember at TRAIN
    "convert/torch_out/steps.py": {"BatchNorm", "Scale", "Split"},       # two that PyTorch has as one
    "lint/training.py": {"Softmax", "Sigmoid"},                          # what two rules are about
}


def type_names(path):
    """The layer types that stand as strings in the code of a file."""
    types = set(registered_types())
    return {node.value for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in types}


def test_no_tables_of_types():
    """No list of layer types stands outside layers/ and passes/: a new layer would have to be added to it."""
    package = Path(registry.__file__).parents[1]
    found = {}
    for path in package.rglob("*.py"):
        place = path.relative_to(package).as_posix()
        if not place.startswith(ABOUT_TYPES):
            found[place] = type_names(path) - ALLOWED.get(place, set())

    assert {} == {place: names for place, names in found.items() if names}


def test_a_check_of_the_net_goes_by_the_answers_about_gradients(known):
    """Which numbers a bottom may hold, through which top no gradient comes back, and how backward is made exact."""
    class Picky(Same):
        """y = x², for whole numbers; backward has 1 too much, and the second top is a copy for readers alone."""

        tops = 2
        extra = 1.0

        def reshape(self, bottom, top):
            for y in top:
                y.reshape_like(bottom[0])

        def forward(self, bottom, top):
            assert np.array_equal(bottom[0].data, np.trunc(bottom[0].data)) or self.extra == 0
            for y in top:
                y.data[...] = bottom[0].data ** 2

        def backward(self, top, propagate_down, bottom):
            bottom[0].diff[...] = 2 * bottom[0].data * top[0].diff + self.extra

        def numbers_for(self, j, bottom, draw):
            return draw.integers(3, 9, size=bottom[0].shape)

        def gradient_from(self, t):
            return t == 0

        def make_exact(self):
            self.extra = 0.0
            return "without the 1 in backward"

    known("Picky", Picky)
    net = make(inputs(x=(3, 4)) + layer("Picky", "x", "y z") + layer("Power", "z", "q", "power_param { power: 2 }"))
    net.blobs["x"].data[...] = 0
    report = check_net(net)

    assert {"y": "right", "q": "right"} == {row.name: row.verdict for row in report.rows if row.blob}
    assert "layer 'y' is checked without the 1 in backward" in report.remarks
