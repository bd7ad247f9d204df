"""The run folder of a training: log.jsonl, train.log and run.yaml; TensorBoard's event files; and full disks."""

import errno
import hashlib
import json
import os
import re
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from extras import needs
from points import NET as POINTS

from minicaffe import DataSource
from minicaffe.cli.__main__ import main
from minicaffe.data.images import ImageFiles
from minicaffe.data.windows import read_window_file
from minicaffe.layer import layer_class
from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.records import facts, run_log
from minicaffe.records.recorder import Record, recording
from minicaffe.records.tensorboard import EventFile, crc32c
from minicaffe.solvers import get_solver

NET = POINTS + """
layer { name: "means" type: "Reduction" bottom: "ip" top: "mean" reduction_param { operation: MEAN axis: 1 } }
"""
SOLVER = """
net: "net.prototxt" base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 max_iter: 4 display: 2
test_iter: 3 test_interval: 2 snapshot: 2 snapshot_prefix: "out/s" random_seed: 5 average_loss: 2
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with a net and a solver."""
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*flags, solver="solver.prototxt"):
    return main(["train", "--solver", solver, *flags])


def events(path="out/s.run/log.jsonl"):
    with open(path) as file:
        return [json.loads(line) for line in file]


def of_kind(kind, found):
    return [event for event in found if event["event"] == kind]


def test_every_displayed_and_tested_value_is_an_event(folder, capsys):
    """log.jsonl holds kinds, iterations, rate and time, and values with the digits of the text log."""
    assert 0 == train()
    found = events()

    assert ["start", "test", "train", "test", "train", "test", "train", "end"] == [event["event"] for event in found]
    assert [0, 2, 4] == [event["iteration"] for event in of_kind("train", found)]
    assert [0, 2, 4] == [event["iteration"] for event in of_kind("test", found)]
    assert [0.05, 0.05, None] == pytest.approx([event.get("rate") for event in of_kind("train", found)])
    assert {"loss", "mean"} == set(of_kind("train", found)[-1]["outputs"])
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", event["time"]) for event in found)
    assert sorted(event["seconds"] for event in found) == [event["seconds"] for event in found]
    assert ("done", 4) == (found[-1]["reason"], found[-1]["iteration"])
    first = of_kind("train", found)[0]
    assert 6 == len(first["outputs"]["mean"])
    printed = capsys.readouterr().err
    assert f"loss = {first['outputs']['loss']:.6g} (* 1" in printed
    for event in of_kind("test", found):
        assert f"Test net output #0: loss = {event['outputs']['loss']:.6g} (* 1" in printed
        assert 0 == event["net"]


def test_the_text_log_is_what_caffe_would_print(folder, capsys):
    """train.log holds the lines of stderr, from the first on, and is read as a run."""
    assert 0 == train()
    printed = capsys.readouterr().err.splitlines()
    with open("out/s.run/train.log") as file:
        kept = file.read().splitlines()

    assert [line[22:] for line in printed] == [line[22:] for line in kept]
    assert "caffe.cpp:197] Use CPU." in kept[0]
    ours, text = run_log.read("out/s.run"), run_log.read("out/s.run/train.log")
    assert [0, 2, 4] == [i for i, _ in text.train[run_log.TOTAL]] == [i for i, _ in ours.train[run_log.TOTAL]]
    for name in text.test:
        np.testing.assert_allclose(ours.test[name], text.test[name], rtol=1e-5)
    assert 7 == len(ours.test)


def test_the_facts_repeat_the_training(folder):
    """run.yaml holds the seed, the versions, and definitions that parse to what was trained."""
    assert 0 == train("--iterations", "3")
    with open("out/s.run/run.yaml") as file:
        facts = yaml.safe_load(file)

    solver = proto_text.parse(facts["solver"]["definition"], SolverParameter())
    assert (3, 5, "points", "SGD") == (solver.max_iter, facts["seed"], facts["net"]["name"], facts["solver"]["type"])
    assert 8 == facts["net"]["parameters"]
    assert {"minicaffe", "python", "numpy", "protobuf", "engine", "threads"} <= set(facts["versions"])
    assert 'type: "EuclideanLoss"' in facts["net"]["definition"]


def test_data_have_a_fingerprint(folder):
    """Another database record, a longer database and another file change what run.yaml says."""
    needs("lmdb")
    from minicaffe.data.lmdb import write_lmdb
    from minicaffe.proto import Datum

    def database(path, pixel, count=8):
        write_lmdb(path, [(f"{i:08d}", Datum(channels=1, height=2, width=3, data=bytes([pixel] * 6), label=i % 2))
                          for i in range(count)], replace=True)

    net = """
      layer { name: "data" type: "Data" top: "x" top: "t" data_param { source: "db" batch_size: 5 backend: LMDB } }
      layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param { num_output: 2 } }
      layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }"""
    (folder / "net.prototxt").write_text(net)
    found = []
    for pixel, count in ((1, 8), (1, 8), (2, 8), (1, 9)):
        database("db", pixel, count)
        assert 0 == train()
        with open("out/s.run/run.yaml") as file:
            found.append(yaml.safe_load(file)["data"])

    assert [("data", "TRAIN", "db", 8), ("data", "TEST", "db", 8)] == [
        (one["layer"], one["phase"], one["source"], one["records"]) for one in found[0]]
    assert found[0][0]["sha256"] == found[1][0]["sha256"]
    assert 3 == len({one[0]["sha256"] for one in found})
    assert [0, 2 / (9 / 5), 4 / (9 / 5)] == pytest.approx([event["epoch"] for event in of_kind("train", events())])


def data_layer(kind, source, files):
    """A data layer as its fingerprint needs it: it is never set up, so the files need not hold data."""
    base = layer_class(kind)
    made = type(base.__name__, (base,), {"epoch_size": 3})(**{base.message: {"source": source}})
    # what the layers read from their lists when they are set up
    made.paths = files
    if kind == "ImageData":
        made._samples = ImageFiles(source)
    elif kind == "WindowData":
        made._batches = SimpleNamespace(windows=read_window_file(source, "", 0.5, 0.5))
    return made


@pytest.mark.parametrize("kind", ["HDF5Data", "ImageData", "WindowData"])
def test_the_files_that_a_list_names_are_part_of_its_fingerprint(tmp_path, kind):
    """Another content of a file changes it, though the list, the names and the sizes stay as they are."""
    names = [str(tmp_path / f"{i}.data") for i in range(3)]
    windows = "".join(f"# {i}\n{name}\n3\n5\n7\n2\n1 0.9 0 0 2 3\n0 0.1 0 0 2 3\n"
                      for i, name in enumerate(names))
    lists = {"HDF5Data": "\n".join(names), "ImageData": "".join(f"{name} 1\n" for name in names), "WindowData": windows}
    (tmp_path / "list").write_text(lists[kind])
    for name in names:
        Path(name).touch()
    layer = data_layer(kind, str(tmp_path / "list"), names)

    def found(*contents):
        for name, content in zip(names, contents, strict=True):
            Path(name).write_bytes(content)
        return facts.fingerprint(layer)

    before = found(b"one", b"two", b"three")
    assert before == found(b"one", b"two", b"three")
    assert "the list and its 3 files" == before["of"]
    assert (11 + len(lists[kind]), 3) == (before["bytes"], before["samples"])
    others = [found(b"One", b"two", b"three"), found(b"one", b"two", b"threE"), found(b"onet", b"wo", b"three")]
    assert 4 == len({one["sha256"] for one in (before, *others)})
    Path(names[1]).unlink()
    assert "fingerprint" in facts.fingerprint(layer)


def test_of_a_long_list_of_images_both_ends_are_hashed(tmp_path, monkeypatch):
    """Of a list whose files are single samples the first and the last count; of HDF5 files, all do."""
    monkeypatch.setattr(facts, "SOME", 1)
    names = [str(tmp_path / f"{i}.data") for i in range(3)]
    for name in names:
        Path(name).write_bytes(b"old")
    (tmp_path / "list").write_text("".join(f"{name} 1\n" for name in names))
    layers = [data_layer(kind, str(tmp_path / "list"), names) for kind in ("ImageData", "HDF5Data")]
    before = [facts.fingerprint(layer) for layer in layers]
    Path(names[1]).write_bytes(b"new")
    after = [facts.fingerprint(layer) for layer in layers]

    assert ["the list and the first and last 1 of its 3 files", "the list and its 3 files"] == [
        one["of"] for one in before]
    assert [True, False] == [old == new for old, new in zip(before, after, strict=True)]


def test_a_users_data_layer_says_what_it_reads(tmp_path):
    """A DataSource names its files by its attributes; they may be paths, and what cannot be read is said so."""
    class Rows(DataSource):
        def setup(self, bottom, top):
            self.source_path, self.source_files = tmp_path / "index", [tmp_path / "a.csv"]
            self.epoch_size = 7

        def reshape(self, bottom, top):
            top[0].reshape(1)

        def forward(self, bottom, top):
            pass

    (tmp_path / "index").write_bytes(b"a")
    (tmp_path / "a.csv").write_bytes(b"12")
    layer = Rows(name="rows")
    layer.setup([], [])
    found = facts.sources(SimpleNamespace(phase=1, layers=[layer, DataSource()]))

    assert [{"layer": "rows", "type": "", "phase": "TEST", "source": str(tmp_path / "index"), "samples": 7, "bytes": 3,
             "sha256": hashlib.sha256(b"1\0a" + b"2\0" + b"12").hexdigest(), "of": "the list and its 1 files"}] == found
    yaml.safe_dump(found)
    (tmp_path / "a.csv").unlink()
    assert "No such file" in facts.fingerprint(layer)["fingerprint"]


def test_of_long_files_both_ends_are_hashed(tmp_path, monkeypatch):
    """A file that is too long to be read whole still tells by its beginning, its end and its size."""
    monkeypatch.setattr(facts, "WHOLE", 8)
    layer, found = DataSource(), []
    layer.source_path = tmp_path / "file"
    for content in (b"aaaa....bbbb", b"aaaa----bbbb", b"Aaaa....bbbb", b"aaaa....bbbB", b"aaaa.....bbbb"):
        (tmp_path / "file").write_bytes(content)
        found.append(facts.fingerprint(layer))

    assert "the first and last 4 bytes of the file" == found[0]["of"]
    assert found[0] == found[1]  # the middle is not read
    assert 4 == len({one["sha256"] for one in found})


def test_a_resumed_training_goes_on_in_the_same_record(folder):
    """A resumed run is marked, a line that a crash cut short is ended, and the curves follow the last run."""
    assert 0 == train()
    with open("out/s.run/log.jsonl", "a") as file:
        file.write('{"event": "train", "iteration": 6, "lo')
    assert 0 == train("--snapshot", "out/s_iter_2.solverstate", "--iterations", "7")
    with open("out/s.run/log.jsonl") as file:
        lines = file.read().splitlines()

    assert 1 == sum(line.endswith('"lo') for line in lines)
    assert 2 == next(json.loads(line) for line in lines if "resume" in line)["iteration"]
    assert [0, 2, 4, 6] == [i for i, _ in run_log.read("out/s").train["loss"]]
    with open("out/s.run/run.yaml") as file:
        facts = yaml.safe_load(file)
    assert (2, [0]) == (facts["iteration"], [one["iteration"] for one in facts["earlier"]])


def test_a_new_training_leaves_the_old_record(folder):
    """Nothing of an older run is lost, and runs with different prefixes do not disturb each other."""
    for _ in range(3):
        assert 0 == train()
    (folder / "other.prototxt").write_text(SOLVER.replace("out/s", "out/t"))
    assert 0 == train(solver="other.prototxt")

    assert ["s.run", "s.run.1", "s.run.2", "t.run"] == sorted(name for name in os.listdir("out") if ".run" in name)
    assert 1 == len(of_kind("start", events("out/s.run.1/log.jsonl")))


def test_a_failure_is_in_the_record(folder, capsys):
    """The message about a NaN stands in both logs; --on-nan stops the training or lets it go on."""
    (folder / "fast.prototxt").write_text(SOLVER.replace("0.05", "1e18").replace("max_iter: 4", "max_iter: 40"))
    assert 1 == train(solver="fast.prototxt")
    said = capsys.readouterr().err
    with open("out/s.run/train.log") as file:
        kept = file.read()

    assert 1 == said.count("a value is not finite")
    assert 1 == kept.count("a value is not finite")
    assert re.search(r"^E.*caffe\.cpp:239\] iteration \d+: a value is not finite, first in top", kept, re.MULTILINE)
    end = events()[-1]
    assert ("end", "error") == (end["event"], end["reason"])
    assert "likely causes" in end["message"]
    (saved,) = [name for name in os.listdir("out") if name.endswith("_failure.npz")]
    assert f"minicaffe replay {os.path.join('out', saved)}" in said
    assert 0 == main(["replay", os.path.join("out", saved)])
    assert 0 == train("--on-nan", "warn", solver="fast.prototxt")
    assert "nan" in [event["loss"] for event in of_kind("train", events())]
    assert all(math_or_word(event) for event in events())


def test_the_error_of_another_process_is_the_last_line_of_the_log(tmp_path):
    """It ends this process without an exception, so nothing else would write it."""
    solver = get_solver(proto_text.parse(
        f'base_lr: 1 lr_policy: "fixed" snapshot_prefix: "{tmp_path}/s" net_param {{ layer {{ name: "x" type: "Input" '
        'top: "x" input_param { shape { dim: 1 dim: 2 } } } }', SolverParameter()))
    with recording() as record, record.following(solver):
        record.failed("rank 1 (host b, process 7): the disk is full")
        log = (tmp_path / "s.run" / "train.log").read_text()
    assert "rank 1 (host b, process 7): the disk is full" in log.splitlines()[-1]
    assert log.splitlines()[-1].startswith("E")


def math_or_word(event):
    """Whether the numbers of an event are JSON's own or words; NaN would make the line no JSON."""
    return json.dumps(event, allow_nan=False)


def test_no_record_writes_none(folder):
    """With --no-record no run folder is written."""
    assert 0 == train("--no-record")
    assert [] == [name for name in os.listdir("out") if ".run" in name]


@pytest.mark.parametrize("reason", ["File exists", "Permission denied"])
def test_a_folder_that_refuses_is_one_error_before_the_first_iteration(folder, capsys, monkeypatch, reason):
    """A run folder that cannot be written is an error; only --no-record trains without one."""
    if reason == "File exists":
        (folder / "out" / "s.run").write_text("a file where the folder belongs")
    else:
        monkeypatch.setattr(Path, "mkdir", refuse)

    assert 1 == train()
    said = capsys.readouterr().err
    assert "Iteration 0" not in said
    assert f"minicaffe: error: cannot write the run folder of this training, out/s.run: {reason}" in said
    assert "pass --no-record" in said
    assert 0 == train("--no-record")


def refuse(path, *given, **named):
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


class FullDisk:
    """A file on a disk that has room for a few lines more."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, text):
        self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.file.write(text)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("name", ["log.jsonl", "train.log"])
def test_a_full_disk_ends_the_record_and_not_the_training(folder, capsys, monkeypatch, name):
    """There is one warning, the training goes on to its end, and the lines that were written are whole."""
    opened = Record.open

    def nearly_full(self, solver):
        opened(self, solver)
        self._files[name] = FullDisk(self._files[name], 3)

    monkeypatch.setattr(Record, "open", nearly_full)
    assert 0 == train()
    said = capsys.readouterr().err

    assert 1 == said.count("No space left on device")
    assert re.search(rf"^W.*cannot write out/s.run/{name}: No space left .*goes on", said, re.MULTILINE)
    assert "Optimization Done." in said
    assert events()


# --- TensorBoard -----------------------------------------------------------------------------------------


def payloads(path):
    """The payloads of an event file, each checked against its checksums."""
    with open(path, "rb") as file:
        data, at, found = file.read(), 0, []
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        found.append(data[at + 12:at + 12 + length])
        for checked, stored in ((data[at:at + 8], at + 8), (found[-1], at + 12 + length)):
            crc = crc32c(checked)
            assert struct.unpack_from("<I", data, stored)[0] == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
        at += 16 + length
    return found


def test_the_checksum_is_crc32c():
    """The checksum of the standard's check string is the one that the standard gives."""
    assert 0xE3069283 == crc32c(b"123456789")


def test_an_event_file_has_tensorboards_bytes(folder):
    """The records of a version, of one scalar and of a beginning, byte by byte."""
    file = EventFile("tb")
    file.event({"event": "test", "iteration": 300, "net": 1, "outputs": {"acc": 0.5}})
    file.event({"event": "resume", "iteration": 300})
    file.event({"event": "end", "iteration": 300})
    file.close()
    version, event, beginning = payloads(file.path)

    assert b"\x1a\x0dbrain.Event:2" == version[9:]
    assert b"\x10\xac\x02" + b"\x2a\x12\x0a\x10\x0a\x09test1/acc\x15\x00\x00\x00\x3f"[:20] == event[9:]
    assert b"\x10\xac\x02" + b"\x3a\x02\x08\x01" == beginning[9:]


def test_a_training_writes_event_files(folder):
    """The event file has tags for train and test; TensorBoard itself reads it where it is installed."""
    assert 0 == train("--tensorboard", "tb", "--no-record")
    (name,) = os.listdir("tb")

    assert name.startswith("events.out.tfevents.")
    found = b"".join(payloads(os.path.join("tb", name)))
    tags = (b"train/loss", b"train/total loss", b"test/loss", b"train/rate", b"\x3a\x02\x08\x01")
    assert [3, 3, 3, 2, 1] == [found.count(tag) for tag in tags]
    accumulator = needs("tensorboard.backend.event_processing.event_accumulator")
    read = accumulator.EventAccumulator("tb")
    read.Reload()
    assert [0, 2, 4] == [event.step for event in read.Scalars("train/loss")]
    assert 0 == train("--tensorboard", "tb", "--no-record", "--snapshot", "out/s_iter_2.solverstate")
    read = accumulator.EventAccumulator("tb")
    read.Reload()
    assert [0, 2, 4] == [event.step for event in read.Scalars("train/loss")]


def test_outputs_with_our_own_names_keep_theirs(folder):
    """A net's output called rate or total loss is another curve than the learning rate or the sum of the losses."""
    file = EventFile("tb")
    file.event({"event": "train", "iteration": 0, "loss": 1.5, "rate": 0.5,
                "outputs": {"rate": 0.25, "total loss": 2, "lone \ud800": 3}})
    file.close()
    (_, event) = payloads(file.path)

    for tag in (b"train/rate\x15", b"train/rate (blob)\x15", b"train/total loss\x15", b"train/total loss (blob)\x15",
                b"train/lone \\ud800\x15"):
        assert 1 == event.count(tag)


def test_a_tensorboard_folder_that_cannot_be(folder, capsys):
    """It is one error, before the first iteration."""
    (folder / "tb").write_text("a file")

    assert 1 == train("--tensorboard", "tb")
    said = capsys.readouterr().err
    assert "cannot write TensorBoard's events to tb: File exists" in said
    assert "Iteration 0" not in said
