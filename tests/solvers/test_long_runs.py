"""What a long training needs: the newest whole snapshot, which ones to keep, when to stop, epochs, a full disk."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from extras import needs
from nets import NET, feed, make

from minicaffe.errors import DataError, MinicaffeError, ProtoError, SolverError
from minicaffe.io import files
from minicaffe.io.binary import read_weights
from minicaffe.proto import Datum, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import definition, get_solver
from minicaffe.solvers.resume import keep
from minicaffe.solvers.schedule import criterion
from minicaffe.system import sync_folder


@pytest.fixture
def lines(caplog):
    """A function that gives what was reported since the last call."""
    caplog.set_level(logging.INFO, "minicaffe")

    def take():
        found = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return found

    return take


def names(folder, pattern="*"):
    return sorted(path.name for path in folder.glob(pattern))


def following(solver, values):
    """Let the only test net's loss be each of `values`, one a test."""
    left = iter(values)
    solver.test = lambda index: [("loss", next(left))]
    return solver


# --- the newest complete snapshot --------------------------------------------------------------------


def test_the_newest_complete_snapshot_is_found(tmp_path, lines):
    """The newest is the one with the highest number; damaged ones are passed over with a warning each."""
    fields = f'momentum: 0.9 random_seed: 1 snapshot: 2 snapshot_prefix: "{tmp_path}/s"'
    feed(make(fields)).step(12)
    (tmp_path / "s_iter_14.solverstate").write_bytes(b"")
    (tmp_path / "s_iter_12.caffemodel").unlink()
    data = bytearray((tmp_path / "s_iter_10.caffemodel").read_bytes())
    data[-3] ^= 1
    (tmp_path / "s_iter_10.caffemodel").write_bytes(data)
    solver = feed(make(fields))
    lines()

    assert f"{tmp_path}/s_iter_8.solverstate" == solver.restore_newest()
    assert 8 == solver.iter
    said = [line for line in lines() if "is not complete" in line]
    assert [14, 12, 10] == [int(line.split("s_iter_")[1].split(".")[0]) for line in said]
    assert "checksum" in said[2]


def test_without_snapshots_there_is_nothing_to_find(tmp_path):
    """Neither an empty folder nor another prefix's snapshots are taken."""
    fields = 'momentum: 0.9 snapshot: 2 snapshot_prefix: "{}"'
    feed(make(fields.format(tmp_path / "other"))).step(2)
    solver = feed(make(fields.format(tmp_path / "s")))

    assert "" == solver.restore_newest()
    assert 0 == solver.iter


def test_a_whole_snapshot_of_another_net_is_no_reason_to_begin_anew(tmp_path):
    """What is whole but does not fit is an error."""
    prefix = f'snapshot: 2 snapshot_prefix: "{tmp_path}/s"'
    feed(make(f"momentum: 0.9 {prefix}")).step(2)
    with pytest.raises(SolverError, match="written by a solver of type SGD"):
        feed(make(f'type: "Adam" momentum: 0.9 {prefix}')).restore_newest()


def test_a_layer_that_a_snapshot_lacks_is_no_resume(tmp_path):
    """A renamed layer, which would begin with random weights, is named, and nothing changes."""
    prefix = f'snapshot: 2 snapshot_prefix: "{tmp_path}/s"'
    feed(make(f"momentum: 0.9 {prefix}")).step(2)
    net = NET.replace('"ip"', '"fc"') % ""
    solver = get_solver(proto_text.parse(f'net_param {{ {net} }} base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 '
                                         f"{prefix}", SolverParameter()))
    before = solver.net.params["fc"][0].data.copy()
    with pytest.raises(SolverError, match=r"s_iter_2.solverstate: this snapshot is of another net\n.*\n"
                                          r"  fc +only in the net .*\n  ip +only in the file [\s\S]*--weights"):
        solver.restore_newest()

    assert 0 == solver.iter
    np.testing.assert_array_equal(solver.net.params["fc"][0].data, before)


def test_what_killed_runs_left_is_swept(tmp_path):
    """Only half-written files of this prefix go, and not those of one that begins alike."""
    prefix = f'snapshot_prefix: "{tmp_path}/s"'
    stray = [".s_iter_7.caffemodel.0123abcd.tmp", ".s_iter_7.solverstate.h5.0123abcd.tmp",
             ".s_iter_7.resume.0123abcd.tmp", ".s_iter_7_failure.npz.0123abcd.tmp", ".s_best.caffemodel.0123abcd.tmp"]
    others = [".other_iter_7.caffemodel.0123abcd.tmp", ".s_notes.0123abcd.tmp", "s_iter_7.tmp", ".s_iter_7.resume.tmp",
              ".s_2_iter_7.resume.0123abcd.tmp", ".s_iter_2.x_iter_7.resume.0123abcd.tmp",
              ".s_best_iter_7.resume.0123abcd.tmp"]
    for name in stray + others:
        (tmp_path / name).write_bytes(b"")
    feed(make(f"max_iter: 1 {prefix}")).solve()

    assert sorted(others) == [name for name in names(tmp_path) if not name.startswith("s_iter_1.")]


# --- what is kept --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "kept"), [("last:3", [8, 10, 12]), ("last", [12]), ("last:99", [2, 4, 6, 8, 10, 12])])
def test_the_last_few_are_kept(tmp_path, text, kept):
    """Older snapshots go with all their files, and only those of this training."""
    fields = f'momentum: 0.9 max_iter: 12 snapshot: 2 snapshot_prefix: "{tmp_path}/s"'
    for kind in ("caffemodel", "solverstate"):
        (tmp_path / f"s_iter_1.{kind}").write_bytes(b"of another run")
    solver = feed(make(fields))
    solver.keep = keep.parse(text, solver)
    solver.solve()

    assert sorted(["s_iter_1.caffemodel", "s_iter_1.solverstate",
                   *(f"s_iter_{n}.{kind}" for n in kept for kind in ("caffemodel", "resume", "solverstate"))]) == names(
        tmp_path)


def test_a_resumed_training_goes_on_keeping(tmp_path):
    """The snapshots of the run before count too."""
    fields = f'momentum: 0.9 snapshot: 2 snapshot_prefix: "{tmp_path}/s"'
    feed(make(fields)).step(6)
    solver = feed(make(fields))
    solver.keep = keep.parse("last:2", solver)
    solver.restore_newest()
    solver.step(2)

    assert ["s_iter_6.solverstate", "s_iter_8.solverstate"] == names(tmp_path, "*.solverstate")


def test_a_kill_before_the_surplus_is_removed(tmp_path, monkeypatch):
    """A run that ends between a snapshot and the removal of an older one leaves no trace in the resumed training."""
    fields = 'momentum: 0.9 snapshot: 2 random_seed: 4 snapshot_prefix: "{}/s"'
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = feed(make(fields.format(tmp_path / "whole")))
    whole.keep = keep.parse("last:2", whole)
    whole.step(10)
    killed = feed(make(fields.format(tmp_path / "killed")))
    killed.keep = keep.parse("last:2", killed)
    killed.step(6)
    with monkeypatch.context() as patch:
        patch.setattr(keep, "remove", lambda base: interrupt())
        with pytest.raises(KeyboardInterrupt):
            killed.step(2)
    resumed = feed(make(fields.format(tmp_path / "killed")))
    resumed.keep = keep.parse("last:2", resumed)
    assert str(tmp_path / "killed" / "s_iter_8.solverstate") == resumed.restore_newest()
    assert ["s_iter_6.solverstate", "s_iter_8.solverstate"] == names(tmp_path / "killed", "*.solverstate")
    resumed.step(2)

    written = [json.loads((tmp_path / name / "s_iter_10.resume").read_bytes().partition(b"\n")[2])["written"]
               for name in ("whole", "killed")]
    assert [[6, 8, 10]] * 2 == written  # as it was when the file was written: the surplus goes afterwards


def interrupt():
    raise KeyboardInterrupt


def test_the_best_is_kept_and_named(tmp_path):
    """The snapshot which a test found best stays, also one that was not due, as PREFIX_best."""
    fields = ('momentum: 0.9 max_iter: 12 snapshot: 4 test_iter: 1 test_interval: 3 snapshot_after_train: false '
              f'snapshot_prefix: "{tmp_path}/s"')
    solver = following(feed(make(fields)), [5, 4, 2, 3, 2.5])  # at 0, 3, 6, 9 and the end
    solver.keep = keep.parse("best,last:1", solver)
    solver.solve()

    assert ["s_iter_12.solverstate", "s_iter_6.solverstate"] == names(tmp_path, "*.solverstate")
    assert (tmp_path / "s_best.caffemodel").read_bytes() == (tmp_path / "s_iter_6.caffemodel").read_bytes()
    assert [] == names(tmp_path, ".*")
    assert solver.net.params["ip"][0].shape == read_weights(tmp_path / "s_best.caffemodel")[2].blobs[0].shape


def test_the_best_so_far_survives_a_stop(tmp_path):
    """A worse result after a resume does not become the best."""
    fields = f'test_iter: 1 test_interval: 2 snapshot: 2 snapshot_prefix: "{tmp_path}/s"'
    first = following(feed(make(fields)), [5, 1, 3])
    first.keep = keep.parse("best,last", first)
    first.step(5)
    best = (tmp_path / "s_best.caffemodel").read_bytes()
    second = following(feed(make(fields)), [2, 2])
    second.keep = keep.parse("best,last", second)
    second.restore_newest()
    second.step(4)

    assert 1 == second.keep.best.best
    assert best == (tmp_path / "s_best.caffemodel").read_bytes()
    assert ["s_iter_2.solverstate", "s_iter_8.solverstate"] == names(tmp_path, "*.solverstate")


@pytest.mark.parametrize("text", ["", "bets", "last:0", "last:-1", "last:x", "best:2", "best,best", "last:"])
def test_what_to_keep_must_be_understood(text):
    """The error shows the text."""
    with pytest.raises(SolverError, match=f"--keep must be best, last:N .*, got '{text}'"):
        keep.parse(text, make(""))


def test_best_needs_a_test(tmp_path):
    """Without a test net nothing can be best, and what is taken where nothing is said."""
    with pytest.raises(SolverError, match="there is none"):
        keep.parse("best", make(""))
    tested = make("test_iter: 1 test_interval: 1")

    assert "loss:min" == str(keep.parse("best", tested).best)
    assert "loss:max" == str(keep.parse("best", tested, criterion.parse("loss:max:patience=2", "")).best)


# --- when to stop -------------------------------------------------------------------------------------


def test_a_training_that_gets_no_better_stops(tmp_path, lines):
    """The training stops at the end of its patience, with a snapshot, and a resume does not begin the patience anew."""
    fields = f'max_iter: 99 test_iter: 1 test_interval: 2 snapshot_prefix: "{tmp_path}/s"'
    solver = following(feed(make(fields)), [5, 4, 6, float("nan"), 4, 1])
    solver.early_stop = criterion.parse("loss:min:patience=3", "--early-stop")
    lines()
    solver.solve()

    assert 8 == solver.iter
    said = lines()
    assert "Early stop: loss:min was best at iteration 2 with 4, and no better in 3 tests since" in said
    assert "Optimization stopped early." in said
    assert ["s_iter_8.solverstate"] == names(tmp_path, "*.solverstate")
    again = following(feed(make(fields)), [])
    again.early_stop = criterion.parse("loss:min:patience=3", "--early-stop")
    again.restore_newest()
    again.solve()
    assert 8 == again.iter


def test_higher_can_be_better():
    """With max a higher value is better, with min a lower one; an equal value is not."""
    high, low = criterion.Criterion("a", 1, patience=2), criterion.Criterion("a", -1, patience=2)

    assert [True, True, False, False, True] == [high.take(v, i) for i, v in enumerate((1, 2, 2, 1, 3))]
    assert [True, False, False, True, False] == [low.take(v, i) for i, v in enumerate((1, 2, 2, 0.5, 3))]
    assert (3, 4, 0) == (high.best, high.at, high.stale)


@pytest.mark.parametrize("text", ["accuracy", "accuracy:up", ":max", "a:max:patience=0", "a:max:patience=x",
                                  "a:max:p=3", "a:max:min"])
def test_a_rule_must_be_understood(text):
    """The error shows the text and an example."""
    with pytest.raises(SolverError, match=f"--early-stop must be written .*got '{text}'\n.*accuracy:max:patience=5"):
        criterion.parse(text, "--early-stop")


def test_a_rule_must_name_an_output():
    """The error names a similar output, the outputs that exist, and a test net that does not."""
    solver = make("test_iter: 1 test_interval: 1")
    with pytest.raises(SolverError, match="'los'; the test nets put out loss\n.*did you mean 'loss'"):
        criterion.parse("los:min", "").check(solver)
    with pytest.raises(SolverError, match="test net #1, but there are 1"):
        criterion.parse("loss:min:net=1", "").check(solver)
    with pytest.raises(SolverError, match="there is no test net\n.*test_interval"):
        criterion.parse("loss:min", "").check(make(""))


def test_the_rate_falls_on_a_plateau(lines):
    """lr_policy plateau goes by a test's output: the rate is halved after two tests without a better one."""
    solver = make('lr_policy: "plateau" gamma: 0.5 plateau_patience: 2 plateau_metric: "loss:min" test_iter: 1 '
                  "test_interval: 1 base_lr: 8")
    following(feed(solver), [9, 8, 8, 8.5, 8, 9, 7, 7.5])
    rates = []
    solver.on_update.append(lambda: rates.append(solver.rate))
    solver.step(8)

    assert [8, 8, 8, 4, 4, 2, 2, 2] == rates
    assert "Plateau Status: Iteration 3, step = 1" in lines()


def test_the_rate_falls_on_a_plateau_of_the_loss():
    """Without plateau_metric the smoothed loss counts, one value an update."""
    solver = feed(make('lr_policy: "plateau" gamma: 0.5 plateau_patience: 3 base_lr: 0'))
    solver.param.base_lr = 0.0
    steps = []
    solver.on_update.append(lambda: steps.append(solver.current_step))
    solver.step(8)

    assert [0, 0, 0, 1, 1, 1, 2, 2] == steps


@pytest.mark.parametrize(("fields", "words"), [
    ('lr_policy: "plateau" gamma: 0.5', ["plateau_patience must be at least 1", "got 0", "counts tests"]),
    ('lr_policy: "plateau" plateau_patience: 1 plateau_metric: "loss"', ["plateau_metric", "OUTPUT:max", "'loss'"]),
    ('lr_policy: "plateau" plateau_patience: 1 plateau_metric: "x:max"', ["'x'", "no test net"]),
])
def test_a_plateau_must_be_described(fields, words):
    """Each wrong field of lr_policy plateau is an error."""
    with pytest.raises(SolverError) as error:
        make(fields)

    assert [] == [word for word in words if word not in str(error.value)]


# --- overrides ---------------------------------------------------------------------------------------


def test_an_override_says_what_it_changes():
    """An override sets numbers, strings and repeated fields, tells the defaults, and replaces a field's rival."""
    p = proto_text.parse('base_lr: 0.1 lr_policy: "step" stepvalue: 1 stepvalue: 2 max_epoch: 3', SolverParameter())
    said = list(definition.override(p, "base_lr=0.001, lr_policy=fixed,stepvalue=7,stepvalue=9,max_iter=50"))
    said += definition.override(p, "momentum2=0.9,snapshot_format=HDF5,base_lr=1e-3")  # base_lr is that already

    assert ["override base_lr: 0.1 → 0.001", 'override lr_policy: "step" → "fixed"', "override stepvalue: 1 2 → 7 9",
            "override max_iter: unset → 50", "override max_iter takes the place of max_epoch: 3",
            "override momentum2: unset (0.999) → 0.9", "override snapshot_format: unset (BINARYPROTO) → HDF5"] == said
    assert ("fixed", [7, 9], 50, 0) == (p.lr_policy, list(p.stepvalue), p.max_iter, p.max_epoch)


@pytest.mark.parametrize(("text", "said"), [
    ('train_state={level: 1, stage: "a, b"},max_iter=5', [
        'override train_state: { stage: "" } → { level: 1 stage: "a, b" }', "override max_iter: unset → 5"]),
    ("test_state={level: 1},test_state={level: 2}", [
        "override test_state: unset → { level: 1 } test_state { level: 2 }"]),
    ("stepvalue=[3, 4],gamma=0.5", ["override stepvalue: unset → 3 4", "override gamma: unset → 0.5"]),
    ('snapshot_prefix="a,b"', ['override snapshot_prefix: unset → "a,b"']),
    ("snapshot_prefix=a{b,net=}c", ['override snapshot_prefix: unset → "a{b"', 'override net: unset → "}c"']),
])
def test_an_override_may_be_a_message_or_a_list(text, said):
    """Commas within braces, brackets and quotes belong to the value."""
    p = proto_text.parse('train_state { stage: "" }', SolverParameter())

    assert said == list(definition.override(p, text))


@pytest.mark.parametrize(("text", "error", "words"), [
    ("base_lr", SolverError, "FIELD=VALUE,FIELD=VALUE, got 'base_lr'"),
    ("base_lr=", SolverError, "got 'base_lr='"),
    ("base_lrr=1", ProtoError, "did you mean 'base_lr'"),
    ("max_iter=1.5", ProtoError, "--override:1"),
    ("max_iter={}", ProtoError, "--override:1"),
    ("train_state=3", ProtoError, "--override:1"),
    ("train_state={level: 1", ProtoError, "'}' is missing"),
    ("train_state={…}", ProtoError, "--override:1"),
])
def test_an_override_must_be_understood(text, error, words):
    """A misspelt field or a value of another kind is a ProtoError with the place."""
    with pytest.raises(error, match=words):
        list(definition.override(SolverParameter(), text))


# --- epochs -----------------------------------------------------------------------------------------------


def data_solver(folder, fields, samples=13, batch=5, middle=""):
    """A solver whose nets read `samples` records in batches of `batch`."""
    needs("lmdb")
    from minicaffe.data.lmdb import write_lmdb

    if not (folder / "db").exists():
        draw = np.random.default_rng(2)
        write_lmdb(folder / "db", [(f"{i:04d}", Datum(channels=3, height=2, width=1, label=i % 4,
                                                      data=draw.integers(256, size=6, dtype=np.uint8).tobytes()))
                                   for i in range(samples)])
    net = f"""layer {{ name: "data" type: "Data" top: "x" top: "t" transform_param {{ scale: 0.01 }}
                       data_param {{ source: "{folder}/db" batch_size: {batch} backend: LMDB }} }} {middle}
              layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
                       inner_product_param {{ num_output: 4 weight_filler {{ type: "xavier" }} }} }}
              layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }}"""
    return get_solver(proto_text.parse(f"""net_param {{ {net} }} base_lr: 0.1 lr_policy: "fixed" random_seed: 1
                                       {fields}""", SolverParameter()))


@pytest.mark.parametrize(("epochs", "iter_size", "expected"), [(1, 1, 3), (5, 1, 13), (5, 2, 7), (4, 3, 4)])
def test_epochs_are_updates(tmp_path, epochs, iter_size, expected):
    """max_iter is ⌈epochs · 13 / (5 · iter_size)⌉, and the last update reaches the end of the last epoch."""
    solver = data_solver(tmp_path, f"max_epoch: {epochs} iter_size: {iter_size} snapshot_after_train: false")
    solver.solve()

    assert expected == solver.param.max_iter == solver.iter
    assert solver.net.layers[0].cursor >= 13 * epochs > solver.net.layers[0].cursor - 5 * iter_size


@pytest.mark.parametrize("batch", [13, 5, 4])
def test_a_whole_test_counts_each_sample_once(tmp_path, batch, lines):
    """The mean over 13 samples is the same however they are cut, and again the next time."""
    exact = data_solver(tmp_path, "test_iter: 1 test_interval: 9", batch=13)
    solver = data_solver(tmp_path, "test_iter_auto: true test_interval: 9", batch=batch)

    (_, expected), = exact.test(0)
    assert [-(-13 // batch)] == list(solver.param.test_iter)
    for _ in range(3):
        assert [("loss", pytest.approx(expected, rel=1e-6))] == solver.test(0)
    rest = f"the last one of {13 % batch}" if 13 % batch else "all full"
    batches = "1 batch" if batch == 13 else f"{-(-13 // batch)} batches"
    assert f"Test net #0: 13 samples in {batches} of {batch}, {rest}" in lines()


def test_a_net_that_takes_no_smaller_batch_is_filled_up(tmp_path, lines):
    """The warning gives the numbers, and the test runs."""
    middle = ('layer { name: "fixed" type: "Reshape" bottom: "t" top: "t5" reshape_param { shape { dim: 5 } } }'
              'layer { name: "quiet" type: "Silence" bottom: "t5" }')
    solver = data_solver(tmp_path, "test_iter_auto: true test_interval: 9", middle=middle)

    assert any("13 samples are no multiple of the batch 5" in line and "2 samples that count twice" in line
               for line in lines())
    assert [3] == list(solver.param.test_iter)
    assert 1 == len(solver.test(0))


@pytest.mark.parametrize(("fields", "words"), [
    ("test_iter_auto: true test_interval: 2", ["test_iter_auto needs", "'line'", "give test_iter"]),
    ("test_iter_auto: true test_iter: 3 test_interval: 2", ["test_iter and test_iter_auto"]),
    ("max_epoch: -1", ["max_epoch must be at least 0, got -1"]),
])
def test_epochs_need_a_size(fields, words):
    """Input layers know no size."""
    with pytest.raises(SolverError) as error:
        make(fields)

    assert [] == [word for word in words if word not in str(error.value)]


@pytest.mark.parametrize("name", ["solver.prototxt", "solver.yaml"])
def test_auto_has_a_field_of_its_own(tmp_path, name):
    """test_iter is a number, and a user who writes auto gets a hint."""
    (tmp_path / name).write_text("base_lr: 1\ntest_iter: auto\n")
    with pytest.raises(ProtoError, match="2:12: expects an integer[\\s\\S]*write test_iter_auto: true"):
        definition.read_solver(str(tmp_path / name))


def test_rows_of_hdf5_files_are_counted(tmp_path):
    """The files' rows together make an epoch."""
    needs("h5py")
    from minicaffe.io import hdf5
    from minicaffe.layers.data.hdf5_data import HDF5DataLayer

    for name, rows in (("a", 9), ("b", 4)):
        def write(file, rows=rows):
            file["x"] = np.zeros((rows, 2))

        hdf5.write_file(tmp_path / f"{name}.h5", write)
    (tmp_path / "list").write_text(f"{tmp_path}/a.h5\n{tmp_path}/b.h5\n")
    from minicaffe.blob import Blob

    layer = HDF5DataLayer(top=["x"], hdf5_data_param={"source": str(tmp_path / "list"), "batch_size": 5})
    layer.SetUp([], [Blob(())])

    assert 13 == layer.epoch_size


# --- a disk that is full ---------------------------------------------------------------------------------

FULL = """
import os, resource, signal, sys
sys.path.insert(0, sys.argv[1])
from nets import NET, feed, make
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
solver = feed(make(f'momentum: 0.9 random_seed: 1 snapshot: 1 snapshot_prefix: "{sys.argv[2]}/s"'))
solver.step(3)
resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(sys.argv[3]) - 1, resource.RLIM_INFINITY))
from minicaffe.errors import MinicaffeError
try:
    solver.step(1)
except MinicaffeError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the limit is POSIX's")
@pytest.mark.parametrize("file", ["caffemodel", "resume"])
def test_a_file_that_the_system_cuts_short(tmp_path, file):
    """A real write that fails is one error that names the file, and the last snapshot stays whole."""
    run = subprocess.run([sys.executable, "-c", FULL, str(Path(__file__).parent), str(tmp_path),
                          f"{tmp_path}/s_iter_3.{file}"],
                         capture_output=True, text=True)

    assert f"cannot write {tmp_path}/s_iter_4.{file}: File too large" == run.stdout.strip(), run.stderr
    assert [] == names(tmp_path, ".*")
    assert "s_iter_4.solverstate" not in names(tmp_path)
    solver = feed(make(f'momentum: 0.9 snapshot_prefix: "{tmp_path}/s"'))
    assert f"{tmp_path}/s_iter_3.solverstate" == solver.restore_newest()


def test_a_disk_that_is_full(tmp_path):
    """On a real file system of 64 KiB, where one may be mounted, the training ends in an error."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("this machine lets nobody mount a file system here")
    try:
        fields = f'momentum: 0.9 random_seed: 1 snapshot: 1 snapshot_prefix: "{disk}/s"'
        with pytest.raises(DataError, match="cannot write .*: No space left on device") as error:
            feed(make(fields)).step(1000)

        assert isinstance(error.value, MinicaffeError)
        assert [] == names(disk, ".*")
        last = max(int(path.stem.split("_")[-1]) for path in disk.glob("*.solverstate"))
        solver = feed(make(fields))
        assert f"{disk}/s_iter_{last}.solverstate" == solver.restore_newest()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
def test_what_is_removed_has_a_successor_that_outlasts_a_loss_of_power(tmp_path, monkeypatch, links):
    """After each rename the folder is put on the disk, and only then go the snapshots that are no longer kept."""
    done, replace, unlink = [], os.replace, os.unlink

    def note(what, function):
        def noted(path, *more):
            done.append((what, os.path.basename(more[0] if more else path)))
            return function(path, *more)

        return noted

    monkeypatch.setattr(os, "replace", note("rename", replace))
    monkeypatch.setattr(os, "unlink", note("remove", unlink))
    for module in (files, keep):
        monkeypatch.setattr(module, "sync_folder", note("sync", sync_folder))
    if not links:
        monkeypatch.setattr(os, "link", lambda *paths: (_ for _ in ()).throw(OSError("no links here")))
    solver = following(feed(make('momentum: 0.9 snapshot: 4 test_iter: 1 test_interval: 2 '
                                 f'snapshot_prefix: "{tmp_path}/s"')), [5, 4, 3, 2])
    solver.keep = keep.parse("best,last:1", solver)
    solver.step(7)

    for i, (what, name) in enumerate(done):
        if what == "rename":
            assert ("sync", tmp_path.name) == done[i + 1], name
    assert ["s_best.caffemodel"] * 4 == [name for what, name in done if what == "rename" and "best" in name]
    gone = [i for i, (what, name) in enumerate(done) if (what, name) == ("remove", "s_iter_4.solverstate")]
    assert [("rename", "s_best.caffemodel"), ("sync", tmp_path.name)] == [
        entry for entry in done[:gone[0]] if entry[0] != "remove"][-2:]


def test_the_record_is_put_on_the_disk_too(tmp_path, monkeypatch):
    """The names in PREFIX.run, and its own, outlast a loss of power."""
    from minicaffe.records import recorder

    synced = []
    monkeypatch.setattr(recorder, "sync_folder", lambda path: synced.append(str(path)))
    record = recorder.Record()
    record.open(make(f'snapshot_prefix: "{tmp_path}/s"'))
    record.close()

    assert [f"{tmp_path}/s.run", str(tmp_path)] == synced


@pytest.mark.parametrize("tail", ["", ".h5"], ids=["binary", "hdf5"])
def test_want_of_memory_is_no_damage(tmp_path, monkeypatch, tail):
    """A snapshot that could not be read for want of memory is not passed over for an older one."""
    if tail:
        needs("h5py")
    fields = (f'momentum: 0.9 snapshot_format: {"HDF5" if tail else "BINARYPROTO"} '
              f'snapshot_prefix: "{tmp_path}/s"')
    feed(make(f"{fields} snapshot: 1")).step(2)
    solver = feed(make(fields))

    def refuse(*args, **more):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("minicaffe.io.hdf5.array" if tail else "minicaffe.io.binary_weights.decode_blob", refuse)
        with pytest.raises(MemoryError):
            solver.restore_newest()
    assert f"{tmp_path}/s_iter_2.solverstate{tail}" == solver.restore_newest()
