"""`minicaffe convert_csv`: from a table to a trained net, and the ways in which a user may get it wrong."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from extras import needs

from minicaffe.cli.__main__ import main
from minicaffe.io import hdf5

NET = """
layer { name: "data" type: "HDF5Data" top: "data" top: "label" include { phase: TRAIN }
        hdf5_data_param { source: "plants.txt" batch_size: 20 shuffle: true } }
layer { name: "data" type: "HDF5Data" top: "data" top: "label" include { phase: TEST }
        hdf5_data_param { source: "plants_test.txt" batch_size: 25 partial_last_batch: true } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy" include { phase: TEST } }
"""
SOLVER = """net: "net.prototxt" base_lr: 0.1 momentum: 0.9 lr_policy: "fixed" max_iter: 60 test_iter_auto: true
test_interval: 60 snapshot_prefix: "s" random_seed: 1 """


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the measures of 150 plants of three kinds, one kind after the other."""
    needs("h5py")
    draw = np.random.default_rng(3)
    kinds = np.repeat(["lily", "rose", "tulip"], 50)
    centres = np.repeat([[10.0, 300], [14, 200], [18, 400]], 50, 0)
    values = draw.normal(centres, [0.5, 20])
    (tmp_path / "plants.csv").write_text("number,width,height,kind\n" + "".join(
        f"{i},{a:.2f},{b:.1f},{kind}\n" for i, ((a, b), kind) in enumerate(zip(values, kinds, strict=True))))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*args):
    return main(["convert_csv", "plants.csv", "plants.h5", *args])


def test_from_a_table_to_a_trained_net(folder, capfd):
    """The files and the layer that the command prints train a net that knows nearly all plants of the test part."""
    assert 0 == command("--label", "kind", "--without", "number", "--test-part", "0.2", "--normalize")
    said = capfd.readouterr().out
    assert "plants.h5: 120 rows of 2 numbers, with labels; its list is plants.txt\n" in said
    assert "plants_test.h5: 30 rows of 2 numbers, with labels; its list is plants_test.txt\n" in said
    assert "labels.txt: 3 labels, 0 lily, 1 rose, 2 tulip\n" in said
    assert ('layer { name: "data" type: "HDF5Data" top: "data" top: "label"\n'
            '        hdf5_data_param { source: "plants.txt" batch_size: 32 shuffle: true } }\n') in said
    assert "lily\nrose\ntulip\n" == (folder / "labels.txt").read_text()
    (folder / "net.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(SOLVER)

    assert 0 == main(["train", "--solver", "solver.prototxt"])
    said = capfd.readouterr().err
    assert 0.9 < float(said.rpartition("accuracy = ")[2].split()[0])


def test_nothing_is_replaced_unasked(folder, capfd):
    """Neither the files nor the labels of another table are replaced without --replace, and nothing else is left."""
    assert 0 == command("--label", "kind")
    before = {name: (folder / name).read_bytes() for name in os.listdir(folder)}
    assert 1 == command("--label", "kind")
    assert "plants.h5 exists already\n  hint: delete it" in capfd.readouterr().err
    (folder / "other.csv").write_text("1,x\n2,y\n")
    assert 1 == main(["convert_csv", "other.csv", "other.h5", "--label", "2"])
    assert "labels.txt exists already\n  hint: give --labels to take its numbers" in capfd.readouterr().err
    assert before | {"other.csv": b"1,x\n2,y\n"} == {name: (folder / name).read_bytes() for name in os.listdir(folder)}
    (folder / "more.csv").write_text("1,rose\n2,lily\n")
    assert 0 == main(["convert_csv", "more.csv", "more.h5", "--label", "2", "--labels", "labels.txt"])

    assert 0 == command("--label", "number", "--columns", "width", "--replace")
    assert "plants.h5: 150 rows of 1 number, with labels" in capfd.readouterr().out


@pytest.mark.parametrize(("args", "words"), [
    (["--test-part", "1.5"], "argument --test-part: expects a number between 0 and 1, such as 0.2, got '1.5'"),
    (["--missing", "mean"], "argument --missing: expects error, skip or a number, got 'mean'"),
    (["--columns", "a,,b"], "argument --columns: expects columns, separated by commas, got 'a,,b'"),
    (["--lable", "kind"], "hint: did you mean '--label'"),
    (["--label", "kinds"], "plants.csv: --label: there is no column 'kinds'"),
    ([], "plants.csv:2: column 4 ('kind'): 'lily' is no number"),
    (["--labels", "nowhere.txt", "--label", "kind"], "no such file: nowhere.txt"),
])
def test_mistakes(args, words, folder, capfd):
    """A flag, a column or a file that cannot be is one message and status 1, and leaves nothing behind."""
    try:
        status = command(*args)
    except SystemExit as error:
        status = error.code

    assert 1 == status
    assert words in capfd.readouterr().err
    assert ["plants.csv"] == os.listdir(folder)


@pytest.mark.parametrize(("out", "words"), [("plants.csv", "plants.csv must end in .h5 or .hdf5"),
                                            ("my plants.h5", "the name 'my plants.h5' must have no blanks")])
def test_names_that_cannot_be(out, words, folder, capfd):
    """The table itself is not overwritten, and the list could not name a file with blanks."""
    assert 1 == main(["convert_csv", "plants.csv", out, "--label", "kind"])
    assert words in capfd.readouterr().err


@pytest.mark.parametrize(("text", "words"), [("rose\nlily\nrose\n", "labels.txt: --labels: the label 'rose' stands "
                                              "there twice"), ("\n", "labels.txt is empty")])
def test_labels_that_cannot_be(text, words, folder, capfd):
    """A label that stands twice would have two numbers."""
    (folder / "labels.txt").write_text(text)
    assert 1 == command("--label", "kind", "--labels", "labels.txt")
    assert words in capfd.readouterr().err


def test_a_line_is_a_number(folder):
    """An empty line among the labels counts, as it does where `minicaffe classify` reads them."""
    (folder / "labels.txt").write_text("rose\n\nlily\ntulip\n")
    assert 0 == command("--label", "kind", "--labels", "labels.txt")
    assert {0, 2, 3} == hdf5.read_file("plants.h5", lambda file: set(file["label"]))


FULL = """
import resource, signal, sys
from minicaffe.cli.__main__ import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
sys.exit(main(["convert_csv", "large.csv", "large.h5"]))
"""
STOPPED = """
import os, signal, sys
from minicaffe.cli.__main__ import main
from minicaffe.data import tables
blocks = tables.Table.blocks
def stop(table, follow):
    for number, block in enumerate(blocks(table, follow)):
        yield block
        if number == 3:
            os.kill(os.getpid(), signal.SIGINT)
tables.Table.blocks = stop
sys.exit(main(["convert_csv", "large.csv", "large.h5", "--test-part", "0.5"]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="this machine has no limit of a file's size")
@pytest.mark.parametrize(("code", "status", "words"), [
    (FULL, 1, "minicaffe: error: cannot write large.h5: File too large\n"), (STOPPED, 130, "minicaffe: stopped\n")])
def test_a_disk_that_is_full_and_ctrl_c(code, status, words, folder):
    """In the middle of a table either one is one line, and no file is left behind."""
    (folder / "large.csv").write_text("".join(f"{i},{i + 1},{i + 2}\n" for i in range(9000)))
    ended = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)

    assert (status, words) == (ended.returncode, ended.stderr)
    assert ["large.csv", "plants.csv"] == sorted(os.listdir(folder))
