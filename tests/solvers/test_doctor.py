"""The failure doctor: a NaN or Inf is found where it first appears, explained, saved, and found again."""

import errno
import json
import os
import random

import numpy as np
import pytest
from nets import feed, make, weights

from minicaffe import rng
from minicaffe.cli.__main__ import main
from minicaffe.errors import MinicaffeError, SolverError
from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver
from minicaffe.solvers.doctor.doctor import Doctor
from minicaffe.solvers.doctor.failure import Replay
from minicaffe.solvers.doctor.plateau import LONG
from minicaffe.solvers.doctor.watch import finite, norm_squared

CHAIN = """
  net_param {
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 5 dim: 3 } } }
    layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 5 dim: 2 } } }
    layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param { num_output: 2 } }
    %s
    layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
  }
  lr_policy: "fixed" base_lr: 0.1 """


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Failures are saved in the current folder where no snapshot_prefix says otherwise."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chain(layer, fields=""):
    """A solver in float32 on x → ip (all 0) → `layer` → loss, fed with the batch of `feed`."""
    return feed(get_solver(proto_text.parse(CHAIN % layer + fields, SolverParameter())))


def message(solver, iterations=50):
    """What the doctor says when a training fails."""
    Doctor(solver)
    with pytest.raises(SolverError) as error:
        solver.step(iterations)
    return str(error.value)


def missing(words, text):
    """Those of the words that a text lacks."""
    return [word for word in words if word not in text]


# --- where ------------------------------------------------------------------------------------------


def test_bad_input_names_layer_blob_sample_and_record():
    """A NaN that was read is not blamed on the net, and its database record is named."""
    solver = feed(make(dtype=np.float32))
    solver.net.blobs["x"].data[3, 1] = np.nan
    solver.net.layers[0].keys = [f"{i:05d}_cat.jpg" for i in range(5)]

    found = message(solver)
    assert [] == missing(["iteration 0", "top blob 'x' of layer 'x' (Input), its data", "1 of 15 values",
                          "the first nan at index (3, 1)", "sample 3 of the batch, record '00003_cat.jpg'"], found)
    assert "learning rate" not in found


def test_the_loss_of_a_large_learning_rate():
    """The message gives the iteration, the history of losses and norms, and the learning rate as the first cause."""
    solver = feed(make("base_lr: 300", dtype=np.float32))
    doctor = Doctor(solver)
    with pytest.raises(SolverError) as error:
        solver.step(50)

    found = str(error.value)
    assert [] == missing([f"iteration {solver.iter}: ", "top blob 'loss' of layer 'loss' (EuclideanLoss)", "first inf",
                          "1. the learning rate is too high: the gradients' L2 norm has grown", "base_lr: 30,"], found)
    last = doctor.history[-1]
    row = next(line.split() for line in found.splitlines() if line.split()[0] == str(solver.iter - 1))
    assert [last.loss, last.norm, 300] == pytest.approx([float(value) for value in row[1:]], rel=1e-5)


def test_the_logarithm_of_zero():
    """A layer in the middle is named, and its own formula as the first cause."""
    found = message(chain('layer { name: "log" type: "Log" bottom: "ip" top: "y" }'))

    assert [] == missing(["top blob 'y' of layer 'log' (Log)", "10 of 10 values, the first -inf at index (0, 0)",
                          "1. log of 0: scale · x + shift must stay above 0"], found)


def test_division_by_zero():
    """A negative power of 0 is named as the cause."""
    found = message(chain('layer { name: "inverse" type: "Power" bottom: "ip" top: "y" power_param { power: -1 } }'))

    assert [] == missing(["layer 'inverse' (Power)", "1. division by 0: power_param.power is -1"], found)


def test_a_gradient_of_a_bottom():
    """Where the forward pass is finite, the first layer of the backward pass is named."""
    found = message(chain('layer { name: "root" type: "Power" bottom: "ip" top: "y" power_param { power: 0.5 } }'))

    assert [] == missing(["bottom blob 'ip' of layer 'root' (Power), its diff", "1. the slope of x to the power 0.5"],
                         found)


def test_a_gradient_of_a_parameter():
    """An overflow in a parameter's gradient alone is found, before it reaches the weights."""
    solver = chain('layer { name: "same" type: "Power" bottom: "ip" top: "y" }')
    solver.net.blobs["x"].data[...] = 3e38
    solver.net.blobs["t"].data[...] = 10
    found = message(solver)

    assert "param blob 0 of layer 'ip' (InnerProduct), its diff: 6 of 6 values, the first -inf" in found
    assert 0 == np.abs(weights(solver)[0]).max()


def test_an_update_that_overflows_the_weights():
    """Bad weights are found before a snapshot can be made of them."""
    solver = feed(make('base_lr: 3e38 snapshot: 1 snapshot_prefix: "s"', dtype=np.float32))
    solver.net.blobs["t"].data[...] = 100
    found = message(solver)

    assert [] == missing(["iteration 1: ", "param blob 0 of layer 'ip' (InnerProduct), its data",
                          "1. the last update was too large", "there is no snapshot from before"], found)
    assert [] == [name for name in os.listdir() if "solverstate" in name]


def test_weights_that_were_bad_from_the_beginning():
    """The file or the filler is named before the first iteration."""
    solver = feed(make(dtype=np.float32))
    solver.net.params["ip"][1].data[1] = np.inf
    with pytest.raises(SolverError, match=r"param blob 1 of layer 'ip'(.|\n)*before the first update"):
        Doctor(solver)


def test_a_test_net():
    """A NaN in a test is found, and named as the test net's."""
    solver = feed(make("test_iter: 2 test_interval: 3", dtype=np.float32))
    solver.test_nets[0].blobs["x"].data[2, 0] = np.inf
    found = message(solver)

    assert "top blob 'x' of layer 'x' (Input), its data of test net #0" in found
    assert ["x", 0, "top", 0, "data"] == Replay("minicaffe_iter_0_failure.npz").run().key


def test_large_but_finite_is_not_bad():
    """Squares which overflow raise no alarm, and that a norm is right all the same."""
    values = np.full((4, 3), 1e30, np.float32)

    assert finite(values)
    assert 12e60 == pytest.approx(norm_squared(values))
    assert not finite(np.array([1e30, -np.inf], np.float32))
    assert not finite(np.array([0, np.nan]))


@pytest.mark.parametrize(("fill", "words"), [
    (1e30, ["1. the initial weights are too large", "xavier"]),
    (0.5, ["1. the inputs of layer 'x' run up to 1e+30"]),
])
def test_a_failure_before_the_first_update(fill, words):
    """Fillers and inputs are blamed where no learning rate can be."""
    solver = feed(make(dtype=np.float32))
    solver.net.params["ip"][0].data[...] = fill
    if fill < 1:
        solver.net.blobs["x"].data[...] = 1e30
    found = message(solver)

    assert [] == missing(words, found)
    assert "learning rate" not in found


def test_targets_outside_the_unit_interval():
    """A cross entropy whose targets it cannot reach says so."""
    net = CHAIN.replace("EuclideanLoss", "SigmoidCrossEntropyLoss")
    layer = 'layer { name: "log" type: "Log" bottom: "ip" top: "y" }'
    solver = feed(get_solver(proto_text.parse(net % layer, SolverParameter())))
    solver.net.blobs["t"].data[...] = 255

    assert "2. the targets of layer 'loss' run from 255 to 255" in message(solver)


# --- warn, snapshots, saving --------------------------------------------------------------------------


def test_warn_goes_on_and_tells_each_place_once(caplog):
    """That --on-nan warn trains to the end, with one warning a place and one saved batch."""
    solver = feed(make(dtype=np.float32))
    solver.net.blobs["x"].data[3, 1] = np.nan
    Doctor(solver, stop=False)
    solver.step(6)

    warned = [r.getMessage() for r in caplog.records if "not finite" in r.getMessage()]
    assert 6 == solver.iter
    assert 2 == len(warned)  # the input, and the weights once they have met it
    assert "the training goes on" in warned[0]
    assert "param blob 0 of layer 'ip'" in warned[1]
    assert "1. the last update was made with a gradient that was not finite" in warned[1]
    assert ["minicaffe_iter_0_failure.npz"] == [name for name in os.listdir() if "failure" in name]


def test_the_last_good_snapshot_is_named():
    """The newest snapshot of this training is named, and not one that another left there."""
    for name in ("s_iter_1.solverstate", "s_iter_2.solverstate", "s_iter_900.solverstate", "other_iter_3.solverstate"):
        with open(name, "w"):
            os.utime(name, (1e9, 1e9))
    solver = feed(make('base_lr: 300 snapshot: 4 snapshot_prefix: "s"', dtype=np.float32))

    assert "last good snapshot: s_iter_4.solverstate" in message(solver)
    assert os.path.exists("s_iter_7_failure.npz")


def test_a_full_disk_does_not_hide_the_diagnosis(monkeypatch):
    """The message still comes, and it says that nothing was saved; no half-written file is left."""
    solver = feed(make(dtype=np.float32))
    solver.net.blobs["x"].data[3, 1] = np.nan
    monkeypatch.setattr(os, "fsync", full)
    found = message(solver)

    assert [] == missing(["top blob 'x'", "could not be saved", "No space left on device"], found)
    assert "minicaffe replay" not in found
    assert [] == os.listdir()


def full(handle):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_healthy_training_is_left_as_it_was():
    """The doctor changes no bit of the weights, and it can be detached."""
    watched, alone = feed(make()), feed(make())
    rng.seed(3)
    for solver in (watched, alone):
        for param in solver.net.learnable_params:
            param.blob.data[...] = 0.25
    doctor = Doctor(watched)
    watched.step(5)
    alone.step(5)

    np.testing.assert_array_equal(weights(alone)[0], weights(watched)[0])
    doctor.detach()
    hooks = (watched.on_update, watched.on_gradients_ready, watched.net.before_layer, watched.net.after_layer,
             watched.net.after_backward)
    assert [[]] * 5 == list(hooks)


# --- replay --------------------------------------------------------------------------------------------

DROPPED = """
  layer { name: "twice" type: "Power" bottom: "x" top: "x" power_param { scale: 2 } }
  layer { name: "drop" type: "Dropout" bottom: "ip" top: "drop" }
  layer { name: "y" type: "Log" bottom: "drop" top: "y" }"""


def test_replay_repeats_the_very_pass(capsys):
    """Inputs overwritten in place and random masks are as they were, and the place too."""
    layers = DROPPED.strip().splitlines()
    net = (CHAIN % "\n".join(layers[1:])).replace('layer { name: "t"', layers[0] + ' layer { name: "t"')
    solver = get_solver(proto_text.parse(net, SolverParameter()))
    feed(solver)
    solver.net.params["ip"][1].data[...] = 3
    Doctor(solver)
    with pytest.raises(SolverError, match=r"'y' of layer 'y' \(Log\), its data: \d+ of 10"):
        solver.step(1)
    kept, given = solver.net.blobs["drop"].data.copy(), feed(make()).net.blobs["x"].data
    replay = Replay("minicaffe_iter_0_failure.npz")
    rng.seed(99)

    assert ["y", 5, "top", 0, "data"] == replay.run().key
    np.testing.assert_array_equal(kept, replay.net.blobs["drop"].data)
    np.testing.assert_allclose(2 * given, replay.net.blobs["x"].data, rtol=1e-6)
    assert 0 == main(["replay", "minicaffe_iter_0_failure.npz"])
    printed = capsys.readouterr()
    assert 2 == printed.out.count("top blob 'y' of layer 'y' (Log), its data")
    assert "[Forward] Layer drop, top blob drop data" in printed.err


def test_replay_goes_on_with_a_hidden_state():
    """The state with which a recurrent layer began the failed pass is in the file."""
    net = """
      layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 2 dim: 3 } } }
      layer { name: "c" type: "Input" top: "c" input_param { shape { dim: 4 dim: 2 } } }
      layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 4 dim: 2 dim: 5 } } }
      layer { name: "rnn" type: "LSTM" bottom: "x" bottom: "c" top: "h"
              recurrent_param { num_output: 5 weight_filler { type: "gaussian" } } }
      layer { name: "loss" type: "EuclideanLoss" bottom: "h" bottom: "t" top: "loss" }"""
    solver = get_solver(proto_text.parse(f'net_param {{ {net} }} lr_policy: "fixed" base_lr: 0.1', SolverParameter()))
    draw = np.random.default_rng(2)
    solver.net.blobs["x"].data[...] = draw.standard_normal((4, 2, 3))
    solver.net.blobs["c"].data[...] = 1
    Doctor(solver)
    solver.step(3)
    solver.net.blobs["t"].data[...] = 1e38
    with pytest.raises(SolverError, match="layer 'loss'"):
        solver.step(1)
    replay = Replay("minicaffe_iter_3_failure.npz")

    assert "loss" == replay.run().key[0]
    np.testing.assert_array_equal(solver.net.blobs["h"].data, replay.net.blobs["h"].data)
    replay.run()
    np.testing.assert_array_equal(solver.net.blobs["h"].data, replay.net.blobs["h"].data)


def test_replay_says_when_all_is_finite(capsys):
    """Where the file does not hold all that a pass needs, the command says so, with status 1."""
    solver = feed(make(dtype=np.float32))
    solver.net.blobs["x"].data[3, 1] = np.nan
    message(solver)
    replay = Replay("minicaffe_iter_0_failure.npz")
    replay.run()
    from minicaffe.io import npz

    arrays = npz.read("minicaffe_iter_0_failure.npz")
    arrays["batch/x"][3, 1] = 0
    npz.write("minicaffe_iter_0_failure.npz", arrays.items())

    assert 1 == main(["replay", "minicaffe_iter_0_failure.npz"])
    assert "every value is finite" in capsys.readouterr().out


def test_replay_refuses_other_files(capsys):
    """There is one sentence for a prototxt, for arrays of another kind, and for a missing file."""
    with open("net.prototxt", "w") as file:
        file.write('name: "n" layer { name: "a" type: "Input" }')
    np.savez("other.npz", a=np.ones(3))
    for name, words in (("net.prototxt", "this is a prototxt, not a saved failure"),
                        ("other.npz", "this .npz holds no saved failure"), ("none.npz", "no such file: none.npz")):
        assert 1 == main(["replay", name])
        assert words in capsys.readouterr().err


def test_damaged_failures_are_refused():
    """A file with a wrong byte, or cut anywhere, gives an error or a pass that runs, never a crash."""
    solver = feed(make(dtype=np.float32))
    solver.net.blobs["x"].data[3, 1] = np.nan
    message(solver)
    with open("minicaffe_iter_0_failure.npz", "rb") as file:
        whole = file.read()
    draw, refused = random.Random(5), 0
    for i in range(120):
        at = draw.randrange(len(whole))
        flipped = whole[:at] + bytes([whole[at] ^ 1 << draw.randrange(8)]) + whole[at + 1:]
        with open("damaged.npz", "wb") as file:
            file.write(flipped if i % 2 else whole[:at])
        try:
            Replay("damaged.npz").run()
        except MinicaffeError:
            refused += 1

    assert refused >= 110  # each member has a checksum; what is left are the fields of the archive that nobody reads


# --- hints -----------------------------------------------------------------------------------------------

CLASSIFIER = """
  net_param {
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 5 dim: 3 } } }
    layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 5 %s } } }
    layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param { num_output: 7 } }
    layer { name: "loss" type: "%s" bottom: "ip" bottom: "t" top: "loss" }
  }
  lr_policy: "fixed" base_lr: 0 """


def hints(caplog, kind, labels, iterations, bias=None):
    """What is warned of while a net of seven scores that learns nothing meets these labels."""
    size = "dim: 7" if np.ndim(labels) > 1 else ""
    solver = get_solver(proto_text.parse(CLASSIFIER % (size, kind), SolverParameter()))
    solver.net.blobs["x"].data[...] = 1
    solver.net.blobs["t"].data[...] = labels
    if bias is not None:
        solver.net.params["ip"][1].data[...] = bias
    Doctor(solver)
    solver.step(iterations)
    return [record.getMessage() for record in caplog.records if "has stayed at" in record.getMessage()]


@pytest.mark.parametrize(("kind", "labels", "bias", "words"), [
    ("SoftmaxWithLoss", [0, 2, 6, 1, 5], None, ["1.9459", "ln 7 = 1.94591", "its 7 classes equally likely"]),
    ("SoftmaxWithLoss", [0, 2, 1, 1, 0], [0, 0, 0, -99, -99, -99, -99],
     ["1.0986", "ln 3 = 1.09861", "the 3 classes of the labels"]),
    ("SoftmaxWithLoss", [0, 1, 1, 1, 0], [0, 0, -99, -99, -99, -99, -99], ["0.6931", "ln 2 = 0.693147"]),
    ("SoftmaxWithLoss", [3, 2, 6, 1, 5], [999, 0, 0, 0, 0, 0, 0], ["87.3365", "FLT_MIN", "probability 0"]),
    ("SigmoidCrossEntropyLoss", np.eye(5, 7), None, ["4.8520", "7 · ln 2", "½"]),
])
def test_a_loss_that_sits_at_a_known_number(caplog, kind, labels, bias, words):
    """There is one hint, after a long time and not before, that says what the number is."""
    assert [] == hints(caplog, kind, labels, LONG - 1, bias)
    found = hints(caplog, kind, labels, 2 * LONG + 50, bias)

    assert 1 == len(found)
    assert [] == missing(["loss 'loss'", *words], found[0])


def test_a_loss_that_moves_gets_no_hint(caplog):
    """A loss elsewhere, or one that passes by, is left alone."""
    assert [] == hints(caplog, "SoftmaxWithLoss", [0, 2, 6, 1, 5], LONG + 50, [1, 0, 2, 0, 0, 0, 0])


@pytest.mark.parametrize(("name", "value"), [
    ("net", {}), ("net", [1]), ("found", 3), ("found", [1]), ("random", [[1]]), ("random", -1), ("random", {"1": -1}),
    ("random", {"x": {}}), ("carried", "x"), ("carried", {"1": [[1]]}), ("carried", {"1": {"a": 1}}),
    ("pass", "x"), ("pass", 3), ("pass", [1, "x"]), ("pass", {"a": 1}), ("dtype", []), ("dtype", "x"),
    ("iteration", None), ("backward", None), ("info", "[" * 100_000)])
def test_replay_of_an_info_with_lies(capsys, name, value):
    """Whatever stands in a saved failure, it is run or it is one error; None: the entry is not there."""
    from minicaffe.io import npz

    net = """
      layer { name: "x" type: "Input" top: "x" top: "c" input_param { shape { dim: [4, 2, 3] } shape { dim: [4, 2] } } }
      layer { name: "h" type: "LSTM" bottom: "x" bottom: "c" top: "h" recurrent_param { num_output: 5 } }
      layer { name: "loss" type: "EuclideanLoss" bottom: "h" bottom: "h" top: "loss" }"""
    solver = get_solver(proto_text.parse(f'net_param {{ {net} }} lr_policy: "fixed" base_lr: 0.1', SolverParameter()))
    solver.net.blobs["x"].data[...] = np.nan
    Doctor(solver)
    with pytest.raises(SolverError):
        solver.step(1)
    arrays = npz.read("minicaffe_iter_0_failure.npz")
    info = json.loads(arrays["info"].tobytes())
    assert {"net", "found", "random", "carried", "dtype", "iteration", "backward"} <= set(info)
    info[name] = value
    if value is None:
        del info[name]
    said = value if name == "info" else json.dumps(info)
    arrays["info"] = np.frombuffer(said.encode(), np.uint8)
    npz.write("lies.npz", arrays.items())

    assert 1 == main(["replay", "lies.npz"])
    assert "minicaffe: error: " in capsys.readouterr().err
