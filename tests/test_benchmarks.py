"""The parts of `make bench` that can be wrong without a figure that looks wrong. No rival is needed."""

import importlib
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from minicaffe import rng
from minicaffe.io import wire
from minicaffe.net import Net
from minicaffe.proto import TEST, TRAIN, NetParameter
from minicaffe.proto.text import parse

pytestmark = pytest.mark.slow  # most of it waits for processes that a benchmark starts

HERE = Path(__file__).parent / "benchmarks"
NAMES = ("limits", "machine", "onnx_twin", "problem", "report", "sides", "tasks", "timed_nets", "training")


@pytest.fixture(scope="module")
def bench():
    """The benchmark's modules by their names, which are no one else's for longer than this module's tests."""
    sys.path.insert(0, str(HERE))
    try:
        before = set(sys.modules)
        yield {name: importlib.import_module(name) for name in NAMES}
    finally:
        sys.path.remove(str(HERE))
        for name in set(sys.modules) - before:
            if str(HERE) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


NET = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 9 dim: 11 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 6 kernel_h: 3 kernel_w: 5
        pad: 1 stride: 2 group: 3 weight_filler { type: "gaussian" std: 0.5 } bias_filler { type: "gaussian" } } }
layer { name: "b" type: "BatchNorm" bottom: "c" top: "b" }
layer { name: "s" type: "Scale" bottom: "b" top: "b" scale_param { filler { type: "gaussian" } bias_term: true } }
layer { name: "p" type: "PReLU" bottom: "b" top: "b" }
layer { name: "n" type: "LRN" bottom: "b" top: "n" lrn_param { local_size: 3 alpha: 0.5 } }
layer { name: "m" type: "Pooling" bottom: "n" top: "m" pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "a" type: "Pooling" bottom: "n" top: "a" pooling_param { pool: AVE kernel_size: 2 stride: 2 } }
layer { name: "cat" type: "Concat" bottom: "m" bottom: "a" top: "cat" }
layer { name: "r" type: "ReLU" bottom: "cat" top: "cat" relu_param { negative_slope: 0.25 } }
layer { name: "d" type: "Dropout" bottom: "cat" top: "cat" }
layer { name: "i" type: "InnerProduct" bottom: "cat" top: "i" inner_product_param { num_output: 7
        weight_filler { type: "xavier" } } }
layer { name: "e" type: "Eltwise" bottom: "i" bottom: "i" top: "e" }
layer { name: "y" type: "Softmax" bottom: "e" top: "y" }
"""


@pytest.fixture
def net():
    """A net of most types that onnx_twin.py knows, with numbers in all its weights."""
    rng.seed(3)
    made = Net(parse(NET, NetParameter()), TEST)
    for blob, values in zip(made.params["b"], ([0.5, -0.5] * 3, [1.0, 2.0, 3.0] * 2, [4.0]), strict=True):
        blob.data[...] = values
    made.blobs["x"].data[...] = np.random.default_rng(1).standard_normal((2, 3, 9, 11))
    return made


def fields(data):
    """The fields of a message, number -> its values, read by our own reader of weights."""
    found, at = {}, 0
    while at < len(data):
        number, kind, first, at = wire.next_field(data, at, len(data))
        found.setdefault(number, []).append(data[first:at] if kind == wire.LENGTH else first)
    return found


def test_onnx(bench, net):
    """The bytes are a model whose nodes follow the layers; the tops that a Split or Dropout gives are its bottom."""
    data = bench["onnx_twin"].onnx_bytes(net)
    model = fields(data)
    graph = fields(model[7][0])
    nodes = [fields(node) for node in graph[1]]

    assert [b"Conv", b"BatchNormalization", b"Mul", b"Add", b"PRelu", b"LRN", b"MaxPool", b"AveragePool", b"Concat",
            b"LeakyRelu", b"Flatten", b"Gemm", b"Add", b"Softmax", b"Identity"] == [node[4][0] for node in nodes]
    known = {b"x"} | {fields(tensor)[8][0] for tensor in graph[5]}
    for node in nodes:  # each input has been made before
        assert set(node[1]) <= known
        known.add(node[2][0])
    assert [13] == [fields(one)[2][0] for one in model[8]]
    conv = {fields(a)[1][0]: fields(a) for a in nodes[0][5]}
    assert [3, 5] == conv[b"kernel_shape"][8]
    assert [3] == conv[b"group"][3]
    weights = fields(graph[5][0])
    assert [6, 1, 3, 5] == weights[1]
    np.testing.assert_array_equal(net.params["c"][0].data.ravel(), np.frombuffer(weights[9][0], "<f4"))
    if find_spec("onnxruntime"):  # a rival, which no extra installs
        session = importlib.import_module("onnxruntime").InferenceSession(data, providers=["CPUExecutionProvider"])
        net.forward()
        np.testing.assert_allclose(net.blobs["y"].data, session.run(None, {"x": net.blobs["x"].data})[0], atol=1e-6)


def test_onnx_refuses(bench):
    """A layer that cannot be written is named."""
    made = Net(parse('layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 } } }'
                     'layer { name: "odd" type: "Exp" bottom: "x" top: "y" }', NetParameter()), TEST)
    with pytest.raises(bench["onnx_twin"].OnnxError, match=r"Exp .* \(odd\)"):
        bench["onnx_twin"].onnx_bytes(made)


def test_operations(bench):
    """The operations of a step are two for each multiply-add, forward, and twice backward but for the first layer."""
    made = bench["timed_nets"].Builder("two", 5, 3, 8, 4)
    made.conv("c", 6, 3).ip("i", 7).loss()
    conv, ip = 5 * 6 * 6 * 6 * 3 * 9, 5 * 7 * 6 * 6 * 6

    assert 2 * (conv + ip) == bench["limits"].pass_operations(made.net)
    assert 2 * (2 * conv + 3 * ip) == bench["limits"].step_operations(made.net)


@pytest.mark.parametrize(("before", "now", "unit", "want"), [
    ([1.0, 1.1, 1.2, 1.3, 9.0], [1.4, 1.5, 1.6, 1.7, 0.1], "s", 1.25),  # single rounds far off change nothing
    ([1.0, 1.1, 1.2, 1.3, 1.4], [1.2, 1.3, 1.4, 1.5, 1.6], "s", 0.0),   # the quartiles overlap
    ([1.0, 1.0, 1.0], [1.02, 1.02, 1.02], "s", 0.0),                    # too little to come from the program
    ([2.0, 2.0, 2.0], [1.0, 1.0, 1.0], "s", 0.5),
    ([100.0, 100.0], [50.0, 50.0], "1/s", 2.0),
    ([4e6], [5e6], "bytes", 1.25),
])
def test_change(bench, before, now, unit, want):
    """What counts as slower: the quartiles of the rounds do not overlap, and the medians differ by more than 3 %."""
    assert want == pytest.approx(bench["report"].change(before, now, unit))


def test_compare(bench, tmp_path, capsys):
    """A later run names what has become slower, and says so by what it returns."""
    def report(machine, **rows):
        made = bench["report"].Report({"processor": machine})
        for row, seconds in rows.items():
            made.add("steps", row, [seconds] * 3)
        return made

    report("old", lenet=0.010, googlenet=0.5, gone=1.0).write(tmp_path / "before.json")

    assert report("new", lenet=0.012, googlenet=0.4, added=1.0).compare(tmp_path / "before.json")
    assert ["not the same machine: processor was old, is new", "worse: steps, lenet: 1.20 times the time",
            "better: steps, googlenet: 0.80 times the time", "2 rows compared: 1 worse, 1 better"
            ] == capsys.readouterr().out.splitlines()
    assert not report("old", lenet=0.010).compare(tmp_path / "before.json")
    assert "steps" == json.loads((tmp_path / "before.json").read_text())["rows"][0]["table"]


def test_cap(bench):
    """The settings of a cap take AVX-512 and what goes with it away, and leave the rest."""
    settings = bench["machine"].settings({"avx2": True, "fma": True, "sse4a": False, "avx512f": True,
                                          "avx512vl": True, "amx-tile": True})

    assert "+avx2,+fma,-sse4a,-avx512f,-avx512vl,-amx-tile" == settings["NUMBA_CPU_FEATURES"]
    assert "avx2" == settings["ATEN_CPU_CAPABILITY"]


def test_cap_without_anything_to_cap(bench, monkeypatch):
    """A processor that has no AVX-512 is not capped."""
    monkeypatch.setattr(bench["machine"], "vectors", lambda: "AVX2")
    with pytest.raises(SystemExit, match="there is nothing to cap, because this processor has AVX2"):
        bench["machine"].cap()


def test_sides(bench, tmp_path, monkeypatch, capsys):
    """A side runs in a process of its own as often as it is asked; one that cannot be made is said and left out."""
    (tmp_path / "maker.py").write_text(
        "import time\n"
        "def fast(folder): return (lambda: time.sleep(0.001)), {'vectors': 'AVX2'}\n"
        "def broken(folder, why): raise SystemExit(why)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    order = [("fast", "maker:fast", tmp_path, {}), ("broken", "maker:broken", tmp_path, {"why": "not installed"})]
    made = bench["sides"].started(order)
    times = bench["sides"].rounds(made, 2, 0.002)
    made[0].close()

    assert ["fast"] == list(times)
    assert [True, True] == [seconds >= 0.001 for seconds in times["fast"]]
    assert "broken is left out: not installed\n" == capsys.readouterr().out
    monkeypatch.setenv("BENCHMARK_CAP", "sse")
    with pytest.raises(bench["sides"].SideError, match="capped to SSE, and uses AVX2"):
        bench["sides"].Side("fast", "maker:fast", tmp_path)


def test_a_side_of_two_processes(bench, tmp_path, monkeypatch):
    """mpirun starts both, all runs are made by both, and both end when the side is closed."""
    pytest.importorskip("mpi4py", reason="needs the package 'mpi4py': pip install 'minicaffe[mpi]'")
    (tmp_path / "maker.py").write_text(
        "import ranks\n"
        "def pair(folder):\n"
        "    (group, told), seen = ranks.joined(), []\n"
        "    return (lambda: seen.append(group.gather(group.rank + 7))), {'seen': seen}, *told\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    try:
        side = bench["sides"].Side("pair", "maker:pair", tmp_path, processes=2, threads=1)
    except bench["sides"].SideError as error:
        pytest.skip(str(error))
    side.run()
    side.run()

    assert {"seen": [[7, 8], [7, 8]]} == side.ask()
    side.close()
    assert 0 == side._process.returncode


def test_problem(bench, tmp_path):
    """A side gets the weights and inputs that the parent wrote."""
    rng.seed(4)
    definition = parse(NET, NetParameter())
    net = Net(definition, TRAIN)
    bench["problem"].write_problem(tmp_path, definition, net, {"x": np.full((2, 3, 9, 11), 2, np.float32)})
    rng.seed(5)
    other = bench["problem"].Problem(tmp_path).fill(Net(definition, TRAIN))

    assert [2.0] == np.unique(other.blobs["x"].data).tolist()
    for name, blobs in net.params.items():
        for want, got in zip(blobs, other.params[name], strict=True):
            np.testing.assert_array_equal(want.data, got.data)


def test_tasks(bench):
    """The trace has every compiled task of a step with the layer that called it, also those of a recording."""
    pytest.importorskip("numba", reason="needs the package 'numba': pip install 'minicaffe[fast]'")
    from minicaffe import kernels
    from minicaffe.kernels.numba_engine import pool

    before = kernels.engine(), pool.as_function
    kernels.use_engine("numba")
    try:
        rng.seed(1)
        steps = bench["tasks"].traced(bench["training"].make_solver(bench["timed_nets"].lenet(3).net), 2)
        rng.seed(1)
        made = Net(bench["timed_nets"].lenet(1).net, TEST)
        with bench["tasks"].Tracer() as tracer:
            for _ in range(3):
                tracer.calls = []
                made.forward()
    finally:
        kernels.use_engine(before[0])

    for _, calls in steps:
        assert {"conv1, forward", "ip2, backward"} <= {call.layer for call in calls}
        assert all(call.start < call.end for call in calls)
    assert {"conv1, forward", "ip2, forward"} <= {call.layer for call in tracer.calls}
    assert any(call.follows for call in tracer.calls)  # the third pass is a recording
    assert before[1] is pool.as_function
