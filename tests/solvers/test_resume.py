"""Exact resume: what is drawn at random, where the data stood, and every number that a training remembers."""

import json
import logging
import random
import re
import shutil
import zlib

import numpy as np
import pytest
from extras import needs
from nets import feed, make

from minicaffe import rng
from minicaffe.errors import DataError, LayerError, SolverError
from minicaffe.io import solverstate
from minicaffe.layer import Layer
from minicaffe.proto import Datum, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import Action, get_solver
from minicaffe.solvers.resume import resume_file

TAIL = """
layer { name: "drop" type: "Dropout" bottom: "x" top: "xd" }
layer { name: "ip" type: "InnerProduct" bottom: "xd" top: "ip"
        inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }
"""
CROPS = "transform_param { scale: 0.01 crop_size: 4 mirror: true }"


@pytest.fixture
def sources(tmp_path):
    """A function that gives a layer which reads the kind of source asked for, with random draws in it."""
    draw = np.random.default_rng(2)
    pixels, labels = draw.integers(256, size=(13, 3, 7, 5), dtype=np.uint8), np.arange(13) % 4

    def lmdb():
        needs("lmdb")
        from minicaffe.data.lmdb import write_lmdb

        write_lmdb(tmp_path / "db", [(f"{i:04d}", Datum(channels=3, height=7, width=5, label=int(labels[i]),
                                                        data=pixels[i].tobytes())) for i in range(13)])
        return f'type: "Data" {CROPS} data_param {{ source: "{tmp_path}/db" batch_size: 5 backend: LMDB }}'

    def images():
        needs("cv2")
        from minicaffe.io import image

        for i in range(13):
            (tmp_path / f"{i}.png").write_bytes(image.encode(pixels[i]))
        (tmp_path / "list").write_text("".join(f"{i}.png {labels[i]}\n" for i in range(13)))
        return (f'type: "ImageData" {CROPS} image_data_param {{ source: "{tmp_path}/list" root_folder: "{tmp_path}/" '
                "batch_size: 5 shuffle: true }")

    def rows():
        needs("h5py")
        from minicaffe.io import hdf5

        for name, part in (("a", slice(0, 9)), ("b", slice(9, 13))):
            def write(file, part=part):
                file["x"], file["t"] = pixels[part] / 256, labels[part]

            hdf5.write_file(tmp_path / f"{name}.h5", write)
        (tmp_path / "list").write_text(f"{tmp_path}/a.h5 {tmp_path}/b.h5")
        return f'type: "HDF5Data" hdf5_data_param {{ source: "{tmp_path}/list" batch_size: 5 shuffle: true }}'

    def dummy():
        return ('type: "DummyData" dummy_data_param { shape { dim: 5 dim: 3 } shape { dim: 5 } '
                'data_filler { type: "gaussian" } data_filler { value: 1 } }')

    made = {}
    makers = {"lmdb": lmdb, "images": images, "rows": rows, "dummy": dummy}
    return lambda kind: made.setdefault(kind, makers[kind]())


def solver_on(net, fields):
    return get_solver(proto_text.parse(f"""net_param {{ {net} }} base_lr: 0.1 lr_policy: "fixed" momentum: 0.9
        average_loss: 3 {fields}""", SolverParameter()))


def remembered(solver):
    """Every number that may tell two trainings apart."""
    return [*(param.blob.data for param in solver.net.learnable_params), *solver.history, solver.loss,
            solver.smoothed_loss, solver.tested, solver.current_step, rng.generator().random()]



@pytest.mark.parametrize("kind", ["lmdb", "images", "rows", "dummy"])
def test_600_and_400_are_1000(tmp_path, sources, kind):
    """With shuffle, crops, mirrors, Dropout and tests in between, a resume changes no bit."""
    net = f'layer {{ name: "data" top: "x" top: "t" {sources(kind)} }} {TAIL}'
    fields = f'iter_size: 2 test_iter: 3 test_interval: 2 snapshot_prefix: "{tmp_path}/s" snapshot: 6'
    first = solver_on(net, f"{fields} random_seed: 3")
    first.step(10)
    draws = rng.state()
    second = solver_on(net, f"{fields} random_seed: 4")  # what the seed decides is in the record
    second.restore(f"{tmp_path}/s_iter_6.solverstate")
    second.step(4)

    assert draws == rng.state()
    rng.restore(draws)
    one = remembered(first)
    rng.restore(draws)
    for mine, theirs in zip(remembered(second), one, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("tail", ["", ".h5"], ids=["binary", "hdf5"])
def test_every_iteration_can_be_the_last(tmp_path, sources, tail):
    """At whichever of twelve updates a training stops, it ends in the same bits: crops, mirrors, Dropout, iter_size."""
    net = f'layer {{ name: "data" top: "x" top: "t" {sources("lmdb")} }} {TAIL}'
    if tail:
        needs("h5py")
    form = "HDF5" if tail else "BINARYPROTO"
    fields = (f'test_iter: 1 test_interval: 3 snapshot_prefix: "{tmp_path}/s" random_seed: 3 iter_size: 2 '
              f"snapshot_format: {form}")
    first = solver_on(net, f"{fields} snapshot: 1")
    first.step(12)
    last = [param.blob.data.copy() for param in first.net.learnable_params]
    for n in range(1, 13):
        again = solver_on(net, fields)
        again.restore(f"{tmp_path}/s_iter_{n}.solverstate{tail}")
        again.step(12 - n)

        for mine, theirs in zip(again.net.learnable_params, last, strict=True):
            np.testing.assert_array_equal(mine.blob.data, theirs)


@pytest.mark.parametrize(("kind", "message"), [("LSTM", "recurrent_param"), ("Lstm", "lstm_param")])
def test_the_hidden_state_of_recurrent_layers_is_kept(kind, message, tmp_path):
    """An LSTM that keeps its state from batch to batch keeps it over a stop, too."""
    net = f"""layer {{ name: "data" type: "DummyData" top: "x" top: "c" top: "t" dummy_data_param {{
                shape {{ dim: 4 dim: 2 dim: 3 }} shape {{ dim: 4 dim: 2 }} shape {{ dim: 4 dim: 2 dim: 5 }}
                data_filler {{ type: "gaussian" }} data_filler {{ value: 1 }} data_filler {{ value: 0.5 }} }} }}
             layer {{ name: "lstm" type: "{kind}" bottom: "x" bottom: "c" top: "h" {message} {{
                num_output: 5 weight_filler {{ type: "uniform" min: -1 max: 1 }} }} }}
             layer {{ name: "loss" type: "EuclideanLoss" bottom: "h" bottom: "t" top: "loss" }}"""
    first = solver_on(net, f'random_seed: 1 snapshot: 3 snapshot_prefix: "{tmp_path}/s"')
    first.step(5)
    second = solver_on(net, "random_seed: 1")
    second.restore(f"{tmp_path}/s_iter_3.solverstate")
    assert 0 < np.abs(second.net.layers[1].states[0].data).max()
    second.step(2)

    np.testing.assert_array_equal(second.net.params["lstm"][0].data, first.net.params["lstm"][0].data)


def test_a_layer_of_the_users_own_goes_on(tmp_path, monkeypatch):
    """A Python layer's resume_state, numpy's and Python's draws come back."""
    import sys
    import types

    class Source(Layer):
        def setup(self, bottom, top):
            self.turn = 0

        def reshape(self, bottom, top):
            top[0].reshape(2, 3)

        def forward(self, bottom, top):
            self.turn += 1
            top[0].data[...] = self.turn + np.random.rand(2, 3) + random.random()

        def backward(self, top, propagate_down, bottom):
            pass

        def resume_state(self):
            return {"turn": np.int64(self.turn)}

        def resume_from(self, state):
            self.turn = state["turn"]

    module = types.ModuleType("own_source")
    Source.__module__ = "own_source"
    module.Source = Source
    monkeypatch.setitem(sys.modules, "own_source", module)
    net = """layer { name: "src" type: "Python" top: "x" python_param { module: "own_source" layer: "Source" } }
             layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param {
                num_output: 1 weight_filler { type: "xavier" } } }
             layer { name: "loss" type: "Reduction" bottom: "ip" top: "loss" loss_weight: 1 }"""
    np.random.seed(1)
    random.seed(1)
    first = solver_on(net, f'random_seed: 1 snapshot: 2 snapshot_prefix: "{tmp_path}/s"')
    first.step(4)
    second = solver_on(net, "random_seed: 1")
    second.restore(f"{tmp_path}/s_iter_2.solverstate")
    second.step(2)

    np.testing.assert_array_equal(second.net.params["ip"][0].data, first.net.params["ip"][0].data)


def test_a_snapshot_in_the_middle_of_a_test_resumes_before_it(tmp_path, sources):
    """A stop between two batches of a test loses and repeats nothing."""
    net = f'layer {{ name: "data" top: "x" top: "t" {sources("dummy")} }} {TAIL}'
    fields = f'test_iter: 5 test_interval: 2 max_iter: 4 random_seed: 1 snapshot_prefix: "{tmp_path}/s"'
    first = solver_on(net, fields)
    first.solve()
    shutil.move(tmp_path / "s_iter_4.caffemodel", tmp_path / "whole")
    (tmp_path / "s_iter_4.resume").unlink()
    stopped, asked = solver_on(net, fields), []

    def request():
        asked.append(stopped.iter)
        return Action.STOP if asked.count(2) == 4 else Action.NONE

    stopped.requested_action = request
    stopped.solve()
    assert 2 == stopped.iter
    second = solver_on(net, fields)
    second.solve(f"{tmp_path}/s_iter_2.solverstate")

    assert (tmp_path / "whole").read_bytes() == (tmp_path / "s_iter_4.caffemodel").read_bytes()


def test_without_a_record_the_resume_works_and_says_what_it_lacks(tmp_path, sources, caplog):
    """A training can be resumed from a snapshot of Caffe's, with one warning."""
    net = f'layer {{ name: "data" top: "x" top: "t" {sources("lmdb")} }} {TAIL}'
    first = solver_on(net, f'random_seed: 1 snapshot: 2 snapshot_prefix: "{tmp_path}/s"')
    first.step(2)
    (tmp_path / "s_iter_2.resume").unlink()
    second = solver_on(net, "random_seed: 1")
    caplog.clear()
    second.restore(f"{tmp_path}/s_iter_2.solverstate")

    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert 1 == len(warned)
    assert [] == [word for word in ("s_iter_2.resume", "random numbers", "smoothed loss", "data (Data)")
                  if word not in warned[0]]
    assert (2, 10) == (second.iter, second.net.layers[0].cursor)
    second.step(1)


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "weights", "history"])
def test_a_file_of_the_three_that_is_not_the_others_is_refused(tmp_path, damage):
    """Checksums tell a damaged or a foreign file, and that nothing of the solver changes."""
    solver = feed(make(f'random_seed: 1 momentum: 0.9 snapshot: 1 snapshot_prefix: "{tmp_path}/s"'))
    solver.step(2)
    path = tmp_path / "s_iter_2.resume"
    data = path.read_bytes()
    if damage in ("flipped", "cut", "empty"):
        path.write_bytes({"flipped": data.replace(b'"iter": 2', b'"iter": 3'), "cut": data[:-9], "empty": b""}[damage])
    else:
        kind = {"weights": "caffemodel", "history": "solverstate"}[damage]
        shutil.copy(tmp_path / f"s_iter_1.{kind}", tmp_path / f"s_iter_2.{kind}")
    other = feed(make("momentum: 0.9"))
    before = [blob.data.copy() for blob in other.net.params["ip"]]
    with pytest.raises(DataError, match="s_iter_2.resume: .*(damaged|is)"):
        other.restore(str(tmp_path / "s_iter_2.solverstate"))

    assert 0 == other.iter
    for mine, theirs in zip(other.net.params["ip"], before, strict=True):
        np.testing.assert_array_equal(mine.data, theirs)


def test_what_changed_since_the_snapshot_is_said(tmp_path, caplog):
    """A resume with another rate names both, and that layers which do not fit are named."""
    caplog.set_level(logging.INFO, "minicaffe")
    first = feed(make(f'momentum: 0.9 test_iter: 1 test_interval: 9 snapshot: 1 snapshot_prefix: "{tmp_path}/s"'))
    first.step(1)
    second = feed(make("momentum: 0.8 base_lr: 0.01"))
    caplog.clear()
    second.restore(str(tmp_path / "s_iter_1.solverstate"))
    found = [record.getMessage() for record in caplog.records]

    assert "Since the snapshot, momentum was 0.9 and is 0.8" in found
    assert "Since the snapshot, base_lr was 0.1 and is 0.01" in found
    assert any("not restored: there were 1 test nets and are 0" in line for line in found)


def test_data_layers_of_one_name_go_on_each_by_itself(tmp_path, sources):
    """Two data layers may have one name. Each has its own place and seeds, which a resume gives back to it."""
    first = sources("lmdb")
    second = first.replace("batch_size: 5", "batch_size: 2")
    net = (f'layer {{ name: "data" top: "x" top: "t" {first} }} {TAIL}'
           f'layer {{ name: "data" top: "y" top: "u" {second} }}')
    made = [solver_on(net, f'random_seed: {seed} snapshot_prefix: "{tmp_path}/s"') for seed in (1, 2)]
    made[0].step(3)
    made[0].snapshot()
    made[1].restore(f"{tmp_path}/s_iter_3.solverstate")
    for solver in made:
        solver.step(1)

    for name in ("x", "y"):
        np.testing.assert_array_equal(made[0].net.blobs[name].data, made[1].net.blobs[name].data)
    assert not np.array_equal(made[0].net.blobs["x"].data[:2], made[0].net.blobs["y"].data)


@pytest.mark.parametrize(("kind", "old", "new", "words"), [
    ("lmdb", "batch_size: 5", "batch_size: 3", "data_param.batch_size was 5 and is 3"),
    ("lmdb", "scale: 0.01", "scale: 0.02", r"transform_param.scale was 0\.01 and is 0\.02"),
    ("lmdb", "batch_size: 5", "batch_size: 5 shuffle: true", "data_param.shuffle was unset and is true"),
    ("images", "shuffle: true", "balance_classes: true", "image_data_param.balance_classes was unset and is true"),
    ("images", "shuffle: true", "", "image_data_param.shuffle was true and is unset"),
    ("rows", "shuffle: true", "shuffle_across_files: true", "hdf5_data_param.shuffle_across_files was unset and is"),
    ("dummy", "value: 1", "value: 2", r"dummy_data_param.data_filler was .* value: 1\.0 .* and is .* value: 2\.0 ")])
def test_a_changed_data_layer_is_said(tmp_path, sources, caplog, kind, old, new, words):
    """A field of a data layer that changed since the snapshot is named with both values, for train and test net."""
    caplog.set_level(logging.INFO, "minicaffe")
    layer = sources(kind)
    fields = f'random_seed: 1 test_iter: 1 test_interval: 9 snapshot_prefix: "{tmp_path}/s"'
    solvers = [solver_on(f'layer {{ name: "data" top: "x" top: "t" {text} }} {TAIL}', fields)
               for text in (layer, layer, layer.replace(old, new))]
    solvers[0].step(1)
    solvers[0].snapshot()
    said = []
    for solver in solvers[1:]:
        caplog.clear()
        solver.restore(f"{tmp_path}/s_iter_1.solverstate")
        said.append([line for line in caplog.messages if line.startswith("Since")])
    solvers[2].step(1)

    assert [] == said[0]
    for net in ("train", "test"):
        assert any(re.match(f"Since the snapshot, {net} layer 'data': {words}", line) for line in said[1])


def test_a_source_that_grew_is_said(tmp_path, sources, caplog):
    """A list with other images has another number of samples, which a resume names."""
    caplog.set_level(logging.INFO, "minicaffe")
    net = f'layer {{ name: "data" top: "x" top: "t" {sources("images")} }} {TAIL}'
    solver = solver_on(net, f'random_seed: 1 snapshot_prefix: "{tmp_path}/s"')
    solver.step(1)
    solver.snapshot()
    with open(tmp_path / "list", "a") as file:
        file.write("3.png 1\n4.png 2\n")
    solver_on(net, "random_seed: 1").restore(f"{tmp_path}/s_iter_1.solverstate")

    assert "Since the snapshot, train layer 'data': the number of samples was 13 and is 15" in caplog.messages


def test_shuffling_that_begins_in_the_middle_follows_from_the_seed(tmp_path, sources):
    """Where a snapshot has no seed for the rows, since their order was the files', the new training's seed counts."""
    net = f'layer {{ name: "data" top: "x" top: "t" {sources("rows")} }} {TAIL}'
    fields = f'snapshot_prefix: "{tmp_path}/s"'
    solver = solver_on(net.replace("shuffle: true", ""), fields)
    solver.step(1)
    solver.snapshot()
    keys = []
    for seed in (1, 2, 1):
        now = solver_on(net, f"{fields} random_seed: {seed}")
        now.restore(f"{tmp_path}/s_iter_1.solverstate")
        now.step(1)
        keys.append(list(now.net.layers[0].keys))

    assert keys[0] == keys[2] != keys[1]


def test_a_state_that_does_not_fit_a_layer_is_reported(tmp_path):
    """For a hidden state of another batch there is a sentence, and the layer stays as it is."""
    solver = feed(make(""))
    layer = solver.net.layers[2]
    layer.resume_from = lambda state: layer.fail("keeps a state of shape (1, 2, 5), got (1, 7, 5)")
    captured = resume_file.capture(solver)
    captured["nets"][0] = {"ip": {"states": []}}

    assert ["layer 'ip' (InnerProduct): keeps a state of shape (1, 2, 5), got (1, 7, 5)"] == [
        line.split(";")[0] for line in resume_file.apply(captured, solver)]


def test_a_recurrent_state_of_another_shape_is_refused():
    """The layer names both shapes."""
    from minicaffe.blob import Blob
    from minicaffe.layers.recurrent.rnn import RNNLayer

    layer, bottom = RNNLayer(recurrent_param={"num_output": 5}), [Blob((4, 2, 3)), Blob((4, 2))]
    layer.SetUp(bottom, [Blob(())])
    with pytest.raises(LayerError, match=r"\(1, 2, 5\), got \[\(1, 7, 5\)\]"):
        layer.resume_from({"states": [np.zeros((1, 7, 5))]})


def test_arrays_in_a_record_keep_their_bits(tmp_path):
    """Numbers of every kind, arrays, infinities and NaN come back from a file as they were."""
    solver = feed(make(f'random_seed: 1 snapshot_prefix: "{tmp_path}/s"'))
    values = {"a": np.array([[1, 1 / 3]], np.float32), "i": np.arange(3), "n": float("inf"), "l": [2, "three"]}
    captured = {**resume_file.capture(solver), "nets": [{"ip": values}]}
    (tmp_path / "w").write_bytes(b"weights")
    resume_file.write(str(tmp_path / "r"), solver, captured, str(tmp_path / "w"), [3])
    found = resume_file.read(str(tmp_path / "r"))["nets"][0]["ip"]

    np.testing.assert_array_equal(found["a"], values["a"])
    assert found["a"].dtype == np.float32
    assert ([0, 1, 2], float("inf"), [2, "three"]) == (found["i"].tolist(), found["n"], found["l"])
    assert resume_file.read(str(tmp_path / "none")) is None


FIELDS_OF = {"SGD": "momentum: 0.9", "Nesterov": "momentum: 0.9", "AdaGrad": "", "RMSProp": "rms_decay: 0.9",
             "Adam": "momentum: 0.9", "AdaDelta": "momentum: 0.9"}
SAME = [{"SGD", "Nesterov"}]  # the types whose histories mean the same


@pytest.mark.parametrize("new", FIELDS_OF)
@pytest.mark.parametrize("old", FIELDS_OF)
def test_a_history_is_only_gone_on_with_as_what_it_is(tmp_path, old, new):
    """A resume with another solver type is refused where its history means something else, and nothing changes."""
    feed(make(f'type: "{old}" {FIELDS_OF[old]} snapshot: 2 snapshot_prefix: "{tmp_path}/s"')).step(2)
    solver = feed(make(f'type: "{new}" {FIELDS_OF[new]} snapshot_prefix: "{tmp_path}/s"'))
    if old == new or {old, new} in SAME:
        assert solver.restore_newest()
        solver.step(1)
        assert np.isfinite(solver.loss)
        return
    before = solver.net.params["ip"][0].data.copy()
    with pytest.raises(SolverError, match=rf"s_iter_2\.solverstate: .* type {old}, whose history is .*; {new} goes on "
                                          r"from .*\n  hint: .*--weights .*s_iter_2\.caffemodel"):
        solver.restore_newest()
    assert 0 == solver.iter
    np.testing.assert_array_equal(solver.net.params["ip"][0].data, before)


@pytest.mark.parametrize("tail", ["", ".h5"], ids=["binary", "hdf5"])
@pytest.mark.parametrize(("old", "new", "kind"), [
    ("SGD", "AdaGrad", "sum of squared gradients"), ("SGD", "RMSProp", "mean of squared gradients"),
    ("Adam", "AdaDelta", "mean of squared gradients")])
def test_without_a_record_a_negative_square_tells(tmp_path, old, new, kind, tail):
    """Caffe's own states do not say who wrote them; squares below zero are refused with their place."""
    if tail:
        needs("h5py")
    form = "HDF5" if tail else "BINARYPROTO"
    feed(make(f'type: "{old}" {FIELDS_OF[old]} snapshot: 2 snapshot_format: {form} '
              f'snapshot_prefix: "{tmp_path}/s"')).step(2)
    (tmp_path / "s_iter_2.resume").unlink()
    solver = feed(make(f'type: "{new}" {FIELDS_OF[new]}'))
    words = rf"history blob 0 holds -\d.*, but {new} keeps the {kind} there.*\n.*--weights"
    with pytest.raises(SolverError, match=words):
        solver.restore(str(tmp_path / f"s_iter_2.solverstate{tail}"))
    assert 0 == solver.iter
    feed(make(f'type: "{old}" {FIELDS_OF[old]}')).restore(str(tmp_path / f"s_iter_2.solverstate{tail}"))


@pytest.mark.parametrize(("kind", "now"), [("images", "ImageData"), ("rows", "HDF5Data"), ("dummy", "DummyData")])
def test_a_source_that_changed_its_type_is_said(tmp_path, sources, kind, now):
    """A data layer of the same name and another type begins anew, and the report of a resume says so."""
    first = solver_on(f'layer {{ name: "data" top: "x" top: "t" {sources("lmdb")} }} {TAIL}',
                      f'random_seed: 1 snapshot_prefix: "{tmp_path}/s"')
    first.step(2)
    first.snapshot()
    second = solver_on(f'layer {{ name: "data" top: "x" top: "t" {sources(kind)} }} {TAIL}', "random_seed: 1")
    missing = resume_file.apply(resume_file.read(str(tmp_path / "s_iter_2.resume")), second)

    assert [f"layer 'data' was of type Data and is of type {now}, so it begins anew"] == missing


def changed(**entries):
    """A function that changes values in a resume file; None removes one, 'smoothed__count' is within 'smoothed'."""
    def change(content):
        for name, value in entries.items():
            inside, key = content, name
            while "__" in key:
                outer, key = key.split("__", 1)
                inside = inside[outer]
            inside[key] = value
            if value is None:
                del inside[key]
        return content

    return change


def nested(depth=100_000):
    return b'{"iter": ' + b"[" * depth + b"]" * depth + b"}"


WRONG = {
    "no iter": changed(iter=None), "no random": changed(random=None), "no criteria": changed(criteria=None),
    "no nets": changed(nets=None), "no solver": changed(solver=None), "a list": lambda content: [content],
    "a number": lambda content: 3, "iter is text": changed(iter="two"), "nets is a dict": changed(nets={}),
    "nets holds numbers": changed(nets=[1]), "a layer's state is text": changed(nets=[{"ip": "x"}]),
    "solver holds numbers": changed(solver={"type": 3}), "written holds text": changed(written=["a"]),
    "written is huge": changed(written=[10**900]), "tested is a list": changed(tested=[]),
    "smoothed is a number": changed(smoothed=0), "more losses than the window": changed(smoothed__losses=[0.0] * 99),
    "count is negative": changed(smoothed__count=-1), "mean is text": changed(smoothed__mean="0"),
    "mean is huge": changed(smoothed__mean=10**400), "types is a dict": changed(types={}),
    "data holds text": changed(data=[{"ip": "x"}]),
    "a criterion lacks its best": changed(criteria={"early stop": {"of": "loss:min", "at": 1, "stale": 0}}),
    "random is another generator's": changed(random={"ours": {"bit_generator": "MT19937"}}),
    "draw_seed is text": changed(draw_seed="7"), "draw_seed is negative": changed(draw_seed=-1),
    "draw_seed is huge": changed(draw_seed=2**63),
    "random lacks ours": changed(random={}), "random has text": changed(random__ours__state={"state": "x", "inc": 1}),
    "random is huge": changed(random__ours__state={"state": 1 << 999, "inc": 1}),
    "numpy's position is beyond its words": changed(random__numpy=["MT19937", [1] * 624, 10**6, 0, 0.0]),
    "python's state is missing": changed(random__numpy=["MT19937", [1] * 624, 3, 0, 0.0]),
    "an array that is none": changed(nets=[{"ip": {"a": {"array": "####", "type": "<f4", "shape": [2]}}}]),
    "an array of objects": changed(nets=[{"ip": {"a": {"array": "AAAAAAAAAAA=", "type": "O", "shape": [1]}}}]),
    "an array of another shape": changed(nets=[{"ip": {"a": {"array": "AAAAAA==", "type": "<f4", "shape": [2**70]}}}]),
}


@pytest.mark.parametrize("wrong", [*WRONG, "deeply nested", "no JSON", "another version"])
def test_a_record_with_a_right_checksum_and_wrong_content(tmp_path, caplog, wrong):
    """There is one clear error, nothing of the solver changes, and the older snapshot can be resumed."""
    feed(make(f'momentum: 0.9 random_seed: 1 snapshot: 1 snapshot_prefix: "{tmp_path}/s"')).step(2)
    path = tmp_path / "s_iter_2.resume"
    if wrong in WRONG:
        resume_file.store(path, WRONG[wrong](json.loads(path.read_bytes().split(b"\n")[1])))
    else:
        line = {"deeply nested": nested(), "no JSON": b"\xff{", "another version": b"{}"}[wrong]
        version = 4 if wrong == "another version" else 3
        path.write_bytes(b"minicaffe resume %d %08x\n%s\n" % (version, zlib.crc32(line), line))
    solver = feed(make(f'momentum: 0.9 snapshot_prefix: "{tmp_path}/s"'))
    before, draws = [blob.data.copy() for blob in solver.net.params["ip"]], rng.state()
    with pytest.raises(DataError, match=r"s_iter_2\.resume: this resume file .*\n  hint: ") as error:
        solver.restore(str(tmp_path / "s_iter_2.solverstate"))

    assert len(str(error.value)) < 500 + 3 * len(str(path))
    assert "version 4" in str(error.value) or wrong != "another version"
    assert (0, draws) == (solver.iter, rng.state())
    for mine, theirs in zip(solver.net.params["ip"], before, strict=True):
        np.testing.assert_array_equal(mine.data, theirs)
    assert f"{tmp_path}/s_iter_1.solverstate" == solver.restore_newest()
    assert 1 == solver.iter
    solver.step(1)


@pytest.mark.parametrize("kind", ["lmdb", "images", "rows"])
@pytest.mark.parametrize("change", [{"cursor": -5, "file": -5}, {"seeds": [-1]}, {"seeds": ["x"]}, {"seeds": 3},
                                    {"cursor": "x", "file": "x"}, {"cursor": float("inf"), "row": float("inf")}])
def test_a_data_layer_that_cannot_go_on_goes_on_all_the_same(tmp_path, sources, kind, change):
    """A state that is none is reported with the layer's name, and the layer still gives data."""
    solver = solver_on(f'layer {{ name: "data" top: "x" top: "t" {sources(kind)} }} {TAIL}', "random_seed: 1")
    captured = resume_file.capture(solver)
    captured["nets"][0]["data"] |= change
    missing = resume_file.apply(captured, solver)

    assert 1 == len(missing)
    assert missing[0].startswith("layer 'data'")
    solver.step(1)


@pytest.mark.parametrize("tail", ["", ".h5"], ids=["binary", "hdf5"])
@pytest.mark.parametrize(("iteration", "step", "word"), [(-1, 0, "iter"), (3, -2, "current_step"), (-2**31, 0, "iter")])
def test_a_state_before_the_beginning_is_refused(tmp_path, iteration, step, word, tail):
    """A negative iteration or step in a solver state is named, and the older snapshot can be resumed."""
    if tail:
        needs("h5py")
    form = "HDF5" if tail else "BINARYPROTO"
    fields = f'momentum: 0.9 snapshot_format: {form} snapshot_prefix: "{tmp_path}/s"'
    feed(make(f"{fields} snapshot: 1")).step(2)
    path = tmp_path / f"s_iter_2.solverstate{tail}"
    found = solverstate.read(path)
    solverstate.write(path, found._replace(iter=iteration, current_step=step))
    solver = feed(make(fields))
    with pytest.raises(DataError, match=rf"s_iter_2\.solverstate.*: {word} must lie from 0 to 2147483647, got -"):
        solver.restore(str(path))
    assert 0 == solver.iter
    solver.restore_newest()
    assert 1 == solver.iter
