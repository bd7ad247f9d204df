"""`minicaffe time`: the table under Caffe's lines, its numbers as JSON, the trace; and --threads."""

import itertools
import json
import re

import pytest
from net_tools import convolution, fully_connected, inputs, layer

from minicaffe import kernels
from minicaffe.analysis import work
from minicaffe.cli import timing_report
from minicaffe.cli.__main__ import main
from minicaffe.kernels import shards
from minicaffe.net import Net
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text

BODY = convolution("data", "conv", 5, 3) + layer("ReLU", "conv", "conv", name="relu") + layer(
    "Flatten", "conv", "flat") + fully_connected("flat", "fc", 7) + layer("SoftmaxWithLoss", "fc label", "loss")
NET = inputs(data=(4, 3, 8, 6), label=(4,)) + BODY


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """A net in the working folder, small limits, and the number of threads as it was afterwards."""
    (tmp_path / "net.prototxt").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(timing_report, "SIDE", 32)
    monkeypatch.setattr(timing_report, "COPIED", 1 << 12)
    monkeypatch.setattr(shards, "_threads", shards._threads)


def time(capsys, *flags, status=0):
    assert status == main(["time", "--model", "net.prototxt", "--iterations", "3", *flags])
    return capsys.readouterr()


def test_table_follows_caffes_lines(capsys):
    """Each layer has a line for each direction that runs, and their shares and times sum up to the totals."""
    printed = time(capsys, "--threads", "2")

    assert printed.err.rstrip().endswith("*** Benchmark ends ***")
    assert re.search(r"^limits of this machine  sgemm \d+ GFLOP/s, copy [\d.]+ GB/s \(engine \w+, threads 2\)$",
                     printed.out, re.MULTILINE)
    rows = [re.split(r"\s{2,}", line) for line in printed.out.splitlines() if re.search(r" %$", line)]
    named = [row for row in rows if row[0] != "total"]
    assert ["conv forward", "conv backward"] == [f"{row[0]} {row[2]}" for row in named if row[0] == "conv"]
    assert not [row for row in named if row[0] == "data" and row[2] == "backward"]
    total = float(rows[-1][2])
    assert total == pytest.approx(sum(float(row[3]) for row in named), abs=0.001 * len(named))
    assert 100 == pytest.approx(sum(float(row[-1].rstrip(" %")) for row in named), abs=0.05 * len(named))
    assert ["100.0 %"] == rows[-1][-1:]


def test_work_by_hand():
    """Operations and bytes are right for a convolution, layers that compute in place or share, and a product."""
    net = Net(proto_text.parse(NET, NetParameter(), "net"))
    at = {layer.name: i for i, layer in enumerate(net.layers)}
    ahead, back = work.forward(net), work.backward(net)
    x, y, w = 4 * 3 * 8 * 6, 4 * 5 * 8 * 6, 5 * 3 * 3 * 3
    products = 4 * 8 * 6 * w

    assert work.Work(2 * products, 4 * (x + y + w + 5)) == ahead[at["conv"]]
    assert work.Work(2 * products, 4 * (y + x + 2 * (w + 5))) == back[at["conv"]]  # its bottom wants no gradient
    assert 0 == ahead[at["relu"]].flops
    assert 4 * 2 * y == ahead[at["relu"]].bytes
    assert 0 == ahead[at["flat"]].bytes == back[at["flat"]].bytes
    assert 2 * ahead[at["fc"]].flops == back[at["fc"]].flops == 2 * 2 * 4 * 7 * (y // 4)
    assert back[at["data"]] is None


def test_json_and_trace(tmp_path, capsys):
    """The JSON holds the table's numbers and what they were measured with; the trace holds every pass."""
    printed = time(capsys, "--json", "t.json", "--trace", "trace.json", "--threads", "1")
    facts = json.loads((tmp_path / "t.json").read_text())
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]

    assert ("net.prototxt", 3, 1, kernels.engine()) == (
        facts["model"], facts["iterations"], facts["threads"], facts["engine"])
    assert {"minicaffe", "numpy", "python"} <= set(facts["versions"])
    assert facts["limits"]["sgemm_gflops"] > 0 < facts["limits"]["copy_gbs"]
    conv = next(found for found in facts["layers"] if found["name"] == "conv")
    assert conv["forward"]["flops"] / conv["forward"]["ms"] / 1e6 == pytest.approx(conv["forward"]["gflops"])
    assert f"{conv['backward']['ms']:.3f}" in printed.out
    assert facts["layers"][0]["backward"] is None

    passes = [e for e in events if e["ph"] == "X"]
    spent = sum(e["dur"] for e in passes if (e["name"], e["cat"]) == ("conv", "forward"))
    assert 1000 * 3 * conv["forward"]["ms"] == pytest.approx(spent)
    assert {(1, 1, "forward"), (1, 2, "backward")} == {(e["pid"], e["tid"], e["cat"]) for e in passes}
    assert 3 == sum((e["name"], e["cat"]) == ("relu", "backward") for e in passes)
    assert all(a["ts"] + a["dur"] <= b["ts"] + 1e-3 for a, b in itertools.pairwise(passes))


def test_a_played_pass(tmp_path, capsys):
    """In TEST the time of a pass replayed from a recording is printed too, in TRAIN it is not."""
    assert "played" not in time(capsys).out
    printed = time(capsys, "--phase", "TEST", "--json", "t.json")
    played = json.loads((tmp_path / "t.json").read_text())["played_ms"]

    assert f"replayed from a recording: {played:.3f} ms" in printed.out
    assert 0 < played


def test_json_to_stdout(capsys):
    """--json without a file is all that stdout holds."""
    assert 3 == json.loads(time(capsys, "--json").out)["iterations"]


@pytest.mark.parametrize(("flags", "message"), [
    (["--json", "none/t.json"], "--json: cannot write none/t.json: 'none' is not a folder that may be written to"),
    (["--trace", "."], "--trace: cannot write .: it is a folder")])
def test_refused_before_the_benchmark(capsys, flags, message):
    """A file that cannot be written is an error before the benchmark."""
    assert f"minicaffe: error: {message}\n" == time(capsys, *flags, status=1).err


@pytest.mark.parametrize("command", [["train", "--solver", "s"], ["test", "--model", "m", "--weights", "w"],
                                     ["time", "--model", "m"]])
@pytest.mark.parametrize(("given", "message"), [
    ("0", "error: argument --threads: expects a whole number, 1 or more, got '0'"),
    ("two", "error: argument --threads: expects a whole number from -2147483648 to 2147483647, got 'two'")])
def test_wrong_threads(capsys, command, given, message):
    """Each command that computes has the flag, and refuses a value that is not a number of threads."""
    try:
        status = main([*command, f"--threads={given}"])
    except SystemExit as stop:  # argparse
        status = stop.code

    assert 1 == status
    assert message in capsys.readouterr().err


def test_the_variable(monkeypatch, capsys):
    """Without the flag MINICAFFE_THREADS counts, and its value is checked."""
    monkeypatch.setenv("MINICAFFE_THREADS", "3")
    monkeypatch.setattr(shards, "_threads", 0)
    assert 3 == json.loads(time(capsys, "--json").out)["threads"]

    monkeypatch.setenv("MINICAFFE_THREADS", "many")
    monkeypatch.setattr(shards, "_threads", 0)
    assert "MINICAFFE_THREADS must be a positive number, got 'many'" in time(capsys, status=1).err


def test_the_same_trainings(tmp_path, capsys):
    """A training has the same bits on one thread and on three."""
    data = ('dummy_data_param { shape { dim: 17 dim: 3 dim: 30 dim: 26 } shape { dim: 17 } '
            'data_filler { type: "gaussian" } data_filler { value: 2 } }')
    (tmp_path / "net.prototxt").write_text(layer("DummyData", "", "data label", data) + BODY)
    (tmp_path / "solver.prototxt").write_text('net: "net.prototxt" base_lr: 0.05 lr_policy: "fixed" max_iter: 2 '
                                              'random_seed: 5 snapshot_prefix: "run"')
    found = []
    for count in ("1", "3"):
        assert 0 == main(["train", "--solver", "solver.prototxt", "--no-record", "--threads", count])
        assert int(count) == kernels.threads()
        found.append((tmp_path / "run_iter_2.caffemodel").read_bytes())

    assert found[0] == found[1]
