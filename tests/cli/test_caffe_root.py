"""`minicaffe caffe-root`: Caffe's tools under their own names, as shell scripts written for Caffe call them."""

import contextlib
import csv
import os
import re
import signal
import stat
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from extras import needs

from minicaffe.cli import caffe_root, caffe_tools, progress
from minicaffe.cli.__main__ import main
from minicaffe.data.datum import make
from minicaffe.data.leveldb.source import LevelDbSource
from minicaffe.data.lmdb import LmdbSource, write_lmdb
from minicaffe.io import image, weights
from minicaffe.net import Net
from minicaffe.proto import TEST, BlobProto, Datum
from minicaffe.solvers import Solver

NET = """
name: "tiny"
layer { name: "data" type: "DummyData" top: "data" dummy_data_param { shape { dim: 3 dim: 4 } } }
layer { name: "label" type: "DummyData" top: "label" dummy_data_param { shape { dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
SOLVER = """
net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 4 display: 2 test_iter: 2 test_interval: 2
snapshot_prefix: "tiny"
"""
LOSS = "0.524707"  # after four updates that begin with zeros everywhere


@pytest.fixture(autouse=True)
def bars_again(monkeypatch):
    """A tool draws no bar; the next test may."""
    monkeypatch.setattr(progress, "only_lines", False)


@pytest.fixture
def root(folder, capsys):
    """The folder, with a CAFFE_ROOT whose name has a blank and a quote."""
    assert main(["caffe-root", "a 'root"]) == 0
    capsys.readouterr()
    return folder / "a 'root"


def tool(*args):
    """Run a tool in this process, as its launcher does, and return its exit status."""
    return caffe_tools.main([str(arg) for arg in args])


def launch(path, *args, **options):
    """Run a launcher, and return what it printed."""
    return subprocess.run([path, *map(str, args)], capture_output=True, text=True, timeout=120, **options)


def contents(folder):
    """All files below a folder with their bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def messages(text):
    """The messages of log lines, without time and thread."""
    return re.findall(r"^[IWE]\d{4} [\d:.]+ +\d+ \w+\.[ch]pp:\d+\] (.*)$", text, re.MULTILINE)


# --- the folder --------------------------------------------------------------------------------------------------


def test_layout(root):
    """Each tool has both of its names, can be started, and .build_release is the same folder."""
    for name in [*(f"build/tools/{tool}" for tool in caffe_root.TOOLS),
                 *(f"build/examples/{tool}" for tool in caffe_root.EXAMPLES)]:
        for path in (root / name, root / f"{name}.bin"):
            assert path.stat().st_mode & stat.S_IXUSR
            assert path.name.removesuffix(".bin") in caffe_tools.TOOLS
    for name in caffe_root.SCRIPTS:
        assert (root / name).stat().st_mode & stat.S_IXUSR
    assert (root / ".build_release" / "tools" / "caffe").samefile(root / "build" / "tools" / "caffe")


def test_a_second_run_refreshes(root, capsys):
    """A launcher for a Python that is no longer there is written anew, without --force."""
    before = contents(root)
    path = root / "build" / "tools" / "caffe"
    path.write_text(path.read_text().replace(sys.executable, "/gone/python"))

    assert main(["caffe-root", str(root)]) == 0
    assert contents(root) == before
    assert capsys.readouterr().err == ""


def test_files_of_others_stay(folder, capsys):
    """They are named, and replaced only with --force; a link to nothing is one of them."""
    (folder / "root" / "build" / "tools").mkdir(parents=True)
    (folder / "root" / "python" / "caffe").mkdir(parents=True)
    for name in ("build/tools/caffe", "python/caffe/__init__.py"):
        (folder / "root" / name).write_text("mine")
    (folder / "root" / "build" / "tools" / "train_net").symlink_to("nothing")

    assert main(["caffe-root", "root"]) == 0
    said = capsys.readouterr()
    assert re.search(r"warning: kept 3 files that this command has not made:\n  build/tools/caffe\n"
                     r"  build/tools/train_net\n  python/caffe/__init__.py\n.*import caffe.*\n.*--force", said.err)
    assert (folder / "root" / "build" / "tools" / "caffe").read_text() == "mine"
    assert (folder / "root" / "build" / "tools" / "caffe.bin").exists()

    assert main(["caffe-root", "root", "--force"]) == 0
    assert capsys.readouterr().err == ""
    assert "mine" not in (folder / "root" / "build" / "tools" / "caffe").read_text()
    assert "minicaffe" in (folder / "root" / "python" / "caffe" / "__init__.py").read_text()


def test_a_compiled_caffe(folder, capsys):
    """Where build is a link to .build_release, as Caffe's Makefile makes it, it stays one."""
    (folder / "root" / ".build_release").mkdir(parents=True)
    (folder / "root" / "build").symlink_to(".build_release")

    assert main(["caffe-root", "root"]) == 0
    assert (folder / "root" / "build").is_symlink()
    assert (folder / "root" / ".build_release" / "tools" / "caffe").is_file()


def test_an_empty_name(folder, monkeypatch, capsys):
    """A variable of the shell that is not set must not fill the current folder."""
    monkeypatch.chdir(folder)
    before = set(folder.iterdir())
    assert 1 == main(["caffe-root", ""])
    assert "DIR is empty" in capsys.readouterr().err
    assert before == set(folder.iterdir())


@pytest.mark.parametrize("inside", ["", "/build", "/build/tools"])
def test_a_file_in_the_way(inside, folder, capsys):
    """The error names it, and what was made before it is gone again."""
    blocked = folder / f"root{inside}"
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("mine")
    before = contents(folder)

    assert main(["caffe-root", "root"]) == 1
    assert f"minicaffe: error: root{inside} is no folder, and a folder is needed there" in capsys.readouterr().err
    assert contents(folder) == before


def test_a_full_disk(folder, capsys, monkeypatch):
    """Nothing new is left, and what was there is whole."""
    (folder / "root").mkdir()
    (folder / "root" / "notes.txt").write_text("mine")
    written = []

    def fails_later(path, chunks):
        if len(written) == 7:
            raise caffe_root.MinicaffeError(f"cannot write {path}: No space left on device")
        written.append(path)
        Path(path).write_bytes(b"".join(chunks))

    monkeypatch.setattr(caffe_root, "replace_file", fails_later)

    assert main(["caffe-root", "root"]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert [path.name for path in (folder / "root").rglob("*")] == ["notes.txt"]


def test_a_folder_that_may_not_be_written_to(folder, capsys, monkeypatch):
    """It is one clear error."""
    def refuse(self, *args, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)

    assert main(["caffe-root", "root"]) == 1
    assert re.search("minicaffe: error: the folder .*root.* cannot be made: Permission denied", capsys.readouterr().err)


# --- caffe -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [
    ["train", "-solver", "solver.prototxt", "-gpu", "all"], ["train", "--solver=solver.prototxt", "--gpu=0,1"],
    ["--solver", "solver.prototxt", "train"], ["train", "-solver=solver.prototxt", "--snapshot=", "-weights", ""],
    ["train", "--solver=solver.prototxt", "--logtostderr=1", "-stderrthreshold", "2", "-v=1", "--noalsologtostderr"],
])
def test_train(args, folder, capsys):
    """Flags come in all forms of Caffe's, before or behind the action; an empty one is none, as in Caffe."""
    assert tool("caffe", *args, "--sighup_effect=stop", "-level", "0") == 0
    said = messages(capsys.readouterr().err)

    assert said[0] == "Use CPU."
    assert [line for line in said if line.startswith("Iteration 4") or line == "Optimization Done."] == [
        f"Iteration 4, loss = {LOSS}", "Iteration 4, Testing net (#0)", "Optimization Done.", "Optimization Done."]
    assert any("minicaffe computes on the CPU" in line for line in said) == ("gpu" in " ".join(args))
    assert (folder / "tiny_iter_4.caffemodel").exists()


def test_test_and_time(folder, capsys):
    """They begin from the weights that a training wrote."""
    assert tool("caffe", "train", "-solver=solver.prototxt") == 0
    capsys.readouterr()

    assert tool("caffe", "test", "-model", "net.prototxt", "-weights=tiny_iter_4.caffemodel", "-iterations=2") == 0
    assert f"loss = {LOSS} (* 1 = {LOSS} loss)" in messages(capsys.readouterr().err)[-1]

    assert tool("caffe", "time", "-model", "net.prototxt", "-iterations", "2", "-phase", "TEST", "--weights=x") == 0
    said = capsys.readouterr().err
    assert "warning: caffe time does not read --weights" in said
    assert "*** Benchmark ends ***" in messages(said)


def test_flags_that_an_action_does_not_read(folder, capsys):
    """Caffe accepts them, and they have no effect: -iterations does not end a training. That is said."""
    assert tool("caffe", "train", "-solver=solver.prototxt", "-iterations", "1", "-phase=TEST") == 0
    said = capsys.readouterr().err

    assert "warning: caffe train does not read --iterations, so it has no effect\n  hint: max_iter" in said
    assert "does not read --phase" in said
    assert (folder / "tiny_iter_4.caffemodel").exists()


def test_a_field_that_a_layer_does_not_read(folder, capsys):
    """It is a warning, because Caffe trains such a net."""
    (folder / "net.prototxt").write_text(NET.replace('top: "ip"', 'top: "ip" pooling_param { kernel_size: 2 }'))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert tool("caffe", "train", "-solver=solver.prototxt") == 0
    assert "warning: layer 'ip' (InnerProduct): pooling_param is set" in capsys.readouterr().err


def test_device_query(capsys):
    """There is no GPU, and that is no error."""
    assert tool("caffe", "device_query", "-gpu", "all") == 0
    first, second = messages(capsys.readouterr().err)
    assert first == "Querying GPUs all"
    assert "no GPU" in second


@pytest.mark.parametrize(("args", "words"), [
    (["caffe", "trian"], "caffe has no action 'trian'\n  hint: did you mean 'train'"),
    (["caffe", "train", "--solvr=x"], "unrecognized arguments: --solvr=x\n  hint: did you mean '--solver'"),
    (["caffe", "train", "--solver"], "argument --solver: expected one argument"),
    (["caffe", "train", "--solver=x", "--level=high"], "argument --level: expects a whole number"),
    (["caffe", "train", "--solver=x", "--sigint_effect=halt"], "argument --sigint_effect: invalid choice: 'halt'"),
    (["caffe", "train"], "the following arguments are required: --solver"),
    (["caffe", "train", "--solver=none"], "no such file: none"),
    (["caffe", "device_query", "--gpus=1"], "unrecognized arguments: --gpus=1"),
    (["caffe", "train", "--solver=x", "--minloglevel=9"], "minloglevel is the lowest level to log, from 0 to 3"),
    (["caffe", "train", "--solver=x", "--log_dir=none"], "the log cannot be written to none"),
    (["cafe"], "must be the name of a tool of Caffe's, got 'cafe'\n  hint: did you mean 'caffe'"),
    ([], "the name of a tool of Caffe's is missing\n  hint: caffe, compute_image_mean"),
    (["train_net", "a.prototxt", "b c.solverstate"],
     "same is done by: caffe train --solver=a.prototxt --snapshot='b c.solverstate'"),
    (["finetune_net", "a", "b"], "caffe train --solver=a --weights=b\n"),
    (["test_net", "a", "b", "7"], "caffe test --model=a --weights=b --iterations=7\n"),
    (["net_speed_benchmark"], "caffe time --model=FILE\n"), (["device_query", "0"], "caffe device_query"),
    (["dump_network", "a"], "has removed the tool dump_network\n  hint: .*extract_features"),
    (["classification", "a", "b"], "takes five files, got 2\n  hint: .*mean.binaryproto"),
    (["plot_training_log.py", "a.log"], "takes the number of a chart"),
    (["convert_cifar_data", "a", "b", "rocksdb"], "the kind of database must be lmdb or leveldb, got 'rocksdb'"),
    (["parse_log.py", "none.log", "."], "no such file: none.log"),
    (["parse_log.py", "net.prototxt", "."], "this is no log of a training"),
    (["parse_log.py", "net.prototxt", ".", "--delimiter=ab"], "--delimiter must be one character"),
])
def test_mistakes(args, words, folder, capsys):
    """Each is one clean message and status 1."""
    with contextlib.suppress(SystemExit):
        assert tool(*args) == 1
    said = capsys.readouterr()
    assert re.search(words if ".*" in words else re.escape(words), said.err)
    assert "Traceback" not in said.err


@pytest.mark.parametrize(("args", "words"), [(["caffe"], "usage: caffe ACTION"), (["caffe", "--help"], "device_query"),
                                             (["caffe", "--version"], "minicaffe "),
                                             (["caffe", "train", "--help"], "usage: minicaffe train")])
def test_help(args, words, capsys):
    """Without an action there is the usage, as in Caffe."""
    with contextlib.suppress(SystemExit):
        assert tool(*args) == 0
    assert words in capsys.readouterr().out


def test_lines_on_a_terminal(folder, capsys, monkeypatch):
    """There Caffe's tools write lines, too, and draw no bar."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert tool("caffe", "train", "-solver=solver.prototxt") == 0
    assert f"Iteration 4, loss = {LOSS}" in messages(capsys.readouterr().err)


@pytest.mark.parametrize("by_flag", [True, False])
def test_glog(by_flag, folder, capsys, monkeypatch):
    """minloglevel silences; log_dir keeps the lines in a file, which TOOL.INFO is a link to."""
    (folder / "logs").mkdir()
    if by_flag:
        flags = ["--minloglevel=1", "-log_dir", "logs"]
    else:
        flags = []
        monkeypatch.setenv("GLOG_minloglevel", "1")
        monkeypatch.setenv("GLOG_log_dir", "logs")

    assert tool("caffe", "train", "-solver=solver.prototxt", "-gpu=0", *flags) == 0
    assert len(messages(capsys.readouterr().err)) == 1  # the warning of --gpu
    assert len(messages((folder / "logs" / "caffe.INFO").read_text())) == 1

    monkeypatch.delenv("GLOG_minloglevel", raising=False)
    assert tool("caffe", "train", "-solver=solver.prototxt", "-log_dir=logs") == 0
    assert f"Iteration 4, loss = {LOSS}" in messages((folder / "logs" / "caffe.INFO").read_text())


# --- the other tools ---------------------------------------------------------------------------------------------


def idx_file(path, array):
    """Write an IDX file of bytes."""
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    Path(path).write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes())


def records(source):
    """The records of a database as (key, Datum)."""
    return [(key.decode(), Datum.FromString(value)) for key, value in source.records()]


@pytest.fixture
def mnist(folder):
    """Seven images of 4 by 5 pixels, of three classes, as IDX files."""
    images = np.random.default_rng(2).integers(256, size=(7, 4, 5))
    labels = np.arange(7) % 3
    idx_file("images", images)
    idx_file("labels", labels)
    return images, labels


@pytest.mark.parametrize("backend", ["lmdb", "leveldb"])
def test_convert_mnist_data(backend, mnist, capsys):
    """Both kinds of database hold the same records."""
    needs("lmdb")
    images, labels = mnist
    assert tool("convert_mnist_data", "images", "labels", "db", f"--backend={backend}") == 0

    found = records(LmdbSource("db") if backend == "lmdb" else LevelDbSource("db"))
    assert [key for key, _ in found] == [f"{k:08d}" for k in range(7)]
    assert [datum.label for _, datum in found] == labels.tolist()
    assert b"".join(datum.data for _, datum in found) == images.astype(np.uint8).tobytes()
    assert "A total of 7 items." in messages(capsys.readouterr().err)


def test_convert_mnist_siamese_data(mnist):
    """Each record has two of the images as its channels, and says whether they are of one class."""
    images, labels = mnist
    assert tool("convert_mnist_siamese_data", "images", "labels", "db") == 0

    known = {image.astype(np.uint8).tobytes(): label for image, label in zip(images, labels, strict=True)}
    found = records(LevelDbSource("db"))
    assert [key for key, _ in found] == [f"{k:08d}" for k in range(7)]
    for _, datum in found:
        assert (datum.channels, datum.height, datum.width) == (2, 4, 5)
        first, second = known[datum.data[:20]], known[datum.data[20:]]
        assert datum.label == int(first == second)
    assert len({datum.data for _, datum in found}) > 4
    assert {datum.label for _, datum in found} == {0, 1}


def test_convert_cifar_data(folder):
    """The databases are called as Caffe calls them."""
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    row = bytes([3]) + bytes(3072)
    for name in (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"):
        (folder / "in" / name).write_bytes(row * 2)

    assert tool("convert_cifar_data", "in", "out", "leveldb") == 0
    assert len(LevelDbSource("out/cifar10_train_leveldb")) == 10
    assert len(LevelDbSource("out/cifar10_test_leveldb")) == 2


def test_images_to_a_mean(folder, capsys):
    """An image that cannot be read is left out, as in Caffe; the mean is that of the others."""
    needs("cv2")
    needs("lmdb")
    pixels = np.random.default_rng(4).integers(256, size=(3, 4, 5), dtype=np.uint8)
    (folder / "good.png").write_bytes(image.encode(pixels))
    (folder / "bad.png").write_bytes(b"no image")
    (folder / "list.txt").write_text("good.png 2\nbad.png 1\n")

    assert tool("convert_imageset", "--shuffle", "--resize_height=0", "--resize_width=0", "./", "list.txt", "db") == 0
    assert "left out 1 of 2 images:" in capsys.readouterr().err
    assert tool("compute_image_mean", "-backend=lmdb", "db", "mean.binaryproto") == 0
    assert "Write to mean.binaryproto" in messages(capsys.readouterr().err)
    mean = BlobProto.FromString((folder / "mean.binaryproto").read_bytes())
    assert np.array_equal(np.array(mean.data).reshape(3, 4, 5), pixels)


def test_extract_features(folder):
    """With the arguments of Caffe's example, a LevelDB is written."""
    needs("lmdb")
    write_lmdb("images", [(f"{k}", make(np.full((1, 2, 3), k, np.uint8), k)) for k in range(6)])
    (folder / "features.prototxt").write_text("""
        layer { name: "data" type: "Data" top: "data" top: "label"
                data_param { source: "images" batch_size: 3 backend: LMDB } }
        layer { name: "sum" type: "Reduction" bottom: "data" top: "sum" reduction_param { axis: 1 } }""")
    weights.save("any.caffemodel", Net("features.prototxt", TEST))

    assert tool("extract_features", "any.caffemodel", "features.prototxt", "sum", "features", 2, "leveldb", "GPU",
                "0") == 0
    found = records(LevelDbSource("features"))
    assert [key for key, _ in found] == [f"{k:010d}" for k in range(6)]
    assert [datum.float_data[0] for _, datum in found] == [6 * k for k in range(6)]


@pytest.mark.parametrize("name", ["upgrade_net_proto_text", "upgrade_net_proto_binary", "upgrade_solver_proto_text"])
def test_upgrade(name, folder):
    """What an old file says is written in today's format."""
    if name == "upgrade_net_proto_binary":
        weights.save("old", Net("net.prototxt", TEST))
    else:
        sizes = "".join(f" input_dim: {size}" for size in (2, 3, 1, 4))
        (folder / "old").write_text("solver_type: ADAM" if "solver" in name else
                                    f'layers {{ name: "a" type: RELU bottom: "x" top: "y" }} input: "x" {sizes}')
    assert tool(name, "old", "new") == 0
    assert b"Adam" in (folder / "new").read_bytes() or b"layers" not in (folder / "new").read_bytes()


def test_classification(folder, capsys):
    """The five best classes of an image whose channels have one colour: minus the mean, they are the scores."""
    needs("cv2")
    (folder / "deploy.prototxt").write_text("""
        layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 10 dim: 3 dim: 6 dim: 7 } } }
        layer { name: "sum" type: "Pooling" bottom: "data" top: "mean"
                pooling_param { pool: AVE global_pooling: true } }""")
    weights.save("any.caffemodel", Net("deploy.prototxt", TEST))
    colours = np.array([200, 100, 150], np.uint8)
    (folder / "image.png").write_bytes(image.encode(np.tile(colours[:, None, None], (1, 8, 9))))
    means = np.array([180.0, 10.0, 140.0])
    blob = BlobProto(num=1, channels=3, height=2, width=2)
    blob.data.extend((means[:, None] + [-1, 1, -2, 2]).ravel())
    (folder / "mean.binaryproto").write_bytes(blob.SerializeToString())
    (folder / "names.txt").write_text("blue\ngreen one\nred\n")
    files = ["deploy.prototxt", "any.caffemodel", "mean.binaryproto", "names.txt", "image.png"]

    assert tool("classification", *files) == 0
    assert capsys.readouterr().out == """---------- Prediction for image.png ----------
90.0000 - "green one"
20.0000 - "blue"
10.0000 - "red"
"""
    (folder / "names.txt").write_text("blue\ngreen\n")
    assert tool("classification", *files) == 1
    assert "names.txt names 2 classes, and the net has 3" in capsys.readouterr().err


LOG = """garbage
I0101 00:00:01.000000 7 solver.cpp:289] Solving tiny
I0101 00:00:02.000000 7 solver.cpp:347] Iteration 0, Testing net (#0)
I0101 00:00:03.500000 7 solver.cpp:414]     Test net output #0: accuracy = 0.25
I0101 00:00:03.500000 7 solver.cpp:414]     Test net output #1: loss = 2.5 (* 1 = 2.5 loss)
I0101 00:00:04.000000 7 solver.cpp:239] Iteration 0, loss = 2
I0101 00:00:04.000000 7 solver.cpp:258]     Train net output #0: loss = 2 (* 1 = 2 loss)
I0101 00:00:04.000000 7 sgd_solver.cpp:112] Iteration 0, lr = 0.1
I0101 00:01:05.250000 7 solver.cpp:239] Iteration 10, loss = nan
I0101 00:01:05.250000 7 solver.cpp:258]     Train net output #0: loss = nan (* 1 = nan loss)
I0101 00:01:05.250000 7 sgd_solver.cpp:112] Iteration 10, lr = 1e-05
I0101 00:01:06.000000 7 solver.cpp:347] Iteration 10, Testing net (#0)
I0101 00:01:06.000000 7 solver.cpp:414]     Test net output #0: accuracy = 0.75
I0101 00:01:06.000000 7 solver.cpp:414]     Test net output #1: loss = 1.5 (* 1 = 1.5 loss)
"""


def test_parse_log(folder, capsys):
    """A row for each iteration. The log has a rate behind the outputs, so a row has the rate before it, if any."""
    (folder / "train.log").write_text(LOG)
    assert tool("parse_log.py", "train.log", ".", "--verbose") == 0

    assert (folder / "train.log.train").read_text() == """NumIters,Seconds,LearningRate,loss
0.0,3.0,0.1,2.0
10.0,64.25,0.1,nan
"""
    assert (folder / "train.log.test").read_text() == """NumIters,Seconds,LearningRate,accuracy,loss
0.0,2.5,1e-05,0.25,2.5
10.0,65.0,1e-05,0.75,1.5
"""
    assert capsys.readouterr().out.count("wrote ") == 2


def test_parse_log_over_new_year(folder):
    """The log has no year, and seconds go on where one ends."""
    (folder / "train.log").write_text(LOG.replace("I0101 00:00:01", "I1231 23:59:59"))
    assert tool("parse_log.py", "train.log", ".", "--delimiter", "\t") == 0
    with open("train.log.train") as file:
        assert [row["Seconds"] for row in csv.DictReader(file, delimiter="\t")] == ["5.0", "66.25"]


def test_scripts_by_other_names(folder, capsys):
    """summarize.py, plot_training_log.py and train.py are commands of minicaffe."""
    needs("matplotlib")
    (folder / "train.log").write_text(LOG)
    assert tool("summarize.py", "net.prototxt") == 0
    assert tool("plot_training_log.py", 6, "curves.svg", "train.log") == 0
    assert (folder / "curves.svg").read_text().startswith("<?xml")
    assert tool("train.py", "--solver", "solver.prototxt", "--gpus", 0, 1, "--timing") == 0
    assert (folder / "tiny_iter_4.caffemodel").exists()
    assert "--timing has no effect" in capsys.readouterr().err


# --- the launchers themselves ------------------------------------------------------------------------------------


needs_a_shell = pytest.mark.skipif(os.name == "nt", reason="this machine has no shell scripts")


@needs_a_shell
def test_the_launcher_of_caffe(root):
    """A shell script calls it as Caffe's own scripts do; the path has a blank and a quote."""
    (root / "train.sh").write_text("#!/usr/bin/env sh\nset -e\n"
                                   '"./a \'root/.build_release/tools/caffe" train --solver=solver.prototxt $@\n')
    run = launch("sh", str(root / "train.sh"), "-gpu", "all", cwd=root.parent)

    assert run.returncode == 0, run.stderr
    assert messages(run.stderr)[-1] == "Optimization Done."
    assert launch("sh", str(root / "train.sh"), "--no_such_flag", cwd=root.parent).returncode == 1


@pytest.mark.parametrize("name", caffe_tools.TOOLS)
def test_each_tool_refuses_an_unknown_flag(name, folder, capsys):
    """It says what is wrong, and ends with status 1."""
    try:
        status = tool(name, "--no_such_flag")
    except SystemExit as end:
        status = end.code
    assert status == 1
    assert "error: " in capsys.readouterr().err


@needs_a_shell
@pytest.mark.slow
def test_each_script_starts(root):
    """Each says what is wrong with its arguments, and none ends in a traceback."""
    for name in caffe_root.SCRIPTS:
        run = launch(root / name, "--no_such_flag", cwd=root.parent)
        assert run.returncode == 1, name
        assert re.search("error: ", run.stderr), name
        assert "Traceback" not in run.stderr, run.stderr


@needs_a_shell
@pytest.mark.parametrize("name", ["build/tools/caffe", "python/classify.py"])
def test_a_python_that_has_moved(name, root):
    """A launcher names the Python that it was written for, and the cure; a shell alone would say 'not found'."""
    launcher = root / name
    launcher.write_text(launcher.read_text().replace(sys.executable, "/gone/python"))
    run = launch(launcher, "train", cwd=root.parent)
    assert run.returncode == 1
    assert run.stderr.endswith("/gone/python is gone: run minicaffe caffe-root for this folder again\n")
    assert "Traceback" not in run.stderr


@needs_a_shell
@pytest.mark.parametrize(("given", "found"), [(None, "a 'root"), ("elsewhere", "elsewhere")])
def test_a_python_script_knows_its_root(given, found, root, monkeypatch):
    """classify.py looks for its default model below CAFFE_ROOT, which is the folder laid out unless it is set."""
    if given is None:
        monkeypatch.delenv("CAFFE_ROOT", raising=False)
    else:
        monkeypatch.setenv("CAFFE_ROOT", given)
    for name in ("python/classify.py", "tools/extra/parse_log.py"):
        script = root / name
        shows = "command = [sys.executable, '-c', 'import os; print(os.getenv(\"CAFFE_ROOT\"))']"
        script.write_text(re.sub(r"^command = .*$", shows, script.read_text(), flags=re.MULTILINE))
        run = launch(sys.executable, script, cwd=root.parent)
        assert Path(run.stdout.strip()).name == found, run.stderr


@needs_a_shell
def test_a_signal_to_a_launcher(folder):
    """It reaches the training, because the launcher becomes the process of the tool."""
    number = folder / "python"
    number.write_text('#!/bin/sh\necho $$ "$@"\n')
    starts = {"caffe": caffe_root.shell_launcher(str(number), "caffe"),
              "train.py": caffe_root.python_launcher(str(number), ("-m", caffe_root.MODULE, "train.py"), levels=1)}
    for name, text in starts.items():
        (folder / name).write_text(text)
    for command in (["sh", "caffe"], [sys.executable, "-S", "train.py"]):
        number.chmod(stat.S_IRWXU)
        running = subprocess.Popen([*command, "--flag", "a b"], stdout=subprocess.PIPE, text=True)
        said = running.communicate(timeout=60)[0]

        assert said == f"{running.pid} -m minicaffe.cli.caffe_tools {command[-1]} --flag a b\n"


def test_ctrl_c(folder, capsys, monkeypatch):
    """The training stops after its iteration and writes a snapshot."""
    def press(self, *args):
        signal.raise_signal(signal.SIGINT)
        return update(self, *args)

    update = Solver.apply_update
    monkeypatch.setattr(Solver, "apply_update", press)

    assert tool("caffe", "train", "--solver=solver.prototxt") == 0
    assert "Optimization stopped early." in messages(capsys.readouterr().err)
    assert (folder / "tiny_iter_1.solverstate").exists()


@needs_a_shell
def test_import_caffe(root):
    """The package in python/ is minicaffe's pycaffe, and no module is there twice."""
    code = "import caffe.io, sys; from minicaffe import pycaffe; import minicaffe.pycaffe.io as io; " \
           "assert caffe is pycaffe and caffe.io is io and sys.modules['caffe'] is pycaffe"
    path = os.pathsep.join([str(root / "python"), os.environ.get("PYTHONPATH", "")])
    run = launch(sys.executable, "-c", code, env={**os.environ, "PYTHONPATH": path})
    assert run.returncode == 0, run.stderr


@needs_a_shell
def test_import_caffe_in_another_python(root, tmp_path):
    """It is told which Python has minicaffe."""
    run = launch(sys.executable, "-S", "-E", "-c", f"import sys; sys.path.insert(0, {str(root / 'python')!r}); "
                 "sys.modules['minicaffe'] = None; import caffe")
    assert "ImportError: caffe is minicaffe here, and " in run.stderr
    assert f"Run the script with {sys.executable}" in run.stderr
