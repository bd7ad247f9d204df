"""Commands that make databases and read them: what they write, what they print, and what a user gets wrong."""

import gzip
import os
import re
import signal
import struct

import numpy as np
import pytest
from extras import needs

from minicaffe.cli import progress
from minicaffe.cli.__main__ import main
from minicaffe.data import imageset
from minicaffe.data.datum import make
from minicaffe.data.leveldb.source import LevelDbSource
from minicaffe.data.lmdb import LmdbSource, write_lmdb
from minicaffe.io import binary, image, weights
from minicaffe.net import Net
from minicaffe.proto import TEST, BlobProto, Datum

IMAGES = np.random.default_rng(3).integers(256, size=(7, 3, 4, 5), dtype=np.uint8)
NET = """
name: "features"
layer { name: "data" type: "Data" top: "data" top: "label" data_param { source: "db" batch_size: 3 backend: LMDB }
        transform_param { scale: 0.01 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 2 kernel_size: 2 weight_filler { type: "xavier" } } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
        inner_product_param { num_output: 6 weight_filler { type: "xavier" } } }
"""
SOLVER = ""


@pytest.fixture
def pictures(folder):
    """The folder, with pics/0.png to pics/6.png and a list of them."""
    needs("cv2")
    needs("lmdb")
    (folder / "pics").mkdir()
    for k, pixels in enumerate(IMAGES):
        (folder / "pics" / f"{k}.png").write_bytes(image.encode(pixels))
    (folder / "list.txt").write_text("".join(f"{k}.png {k % 3}\n" for k in range(7)))
    return folder


@pytest.fixture
def trained(folder):
    """The folder, with the database of seven images that the net reads, and weights."""
    needs("lmdb")
    write_lmdb("db", [(f"{k}", make(x, k)) for k, x in enumerate(IMAGES)])
    weights.save("net.caffemodel", Net("net.prototxt", TEST))
    return folder


def lines(captured):
    """LETTER, FILE and message of each log line that a command wrote."""
    return [re.sub(r"^([IWE])\d{4} [\d:.]+ +\d+ (\w+).cpp:\d+\]", r"\1 \2:", line)
            for line in captured.err.splitlines()]


def records(path):
    """The records of an LMDB as {key: Datum}."""
    return {key.decode(): Datum.FromString(value) for key, value in LmdbSource(path).records()}


def left_behind(folder, before):
    """What is in the folder and was not before, hidden files included."""
    return {path.name for path in folder.iterdir()} - before


# --- convert_imageset --------------------------------------------------------------------------------------------


def test_imageset(pictures, capsys):
    """Caffe's lines, and a record for each line of the list."""
    assert 0 == main(["convert_imageset", "pics/", "list.txt", "db"])

    assert ["I convert_imageset: A total of 7 images.", "I db_lmdb: Opened lmdb db",
            "I convert_imageset: Processed 7 files."] == lines(capsys.readouterr())
    made = records("db")
    assert [f"0000000{k}_{k}.png" for k in range(7)] == list(made)
    assert [(k % 3, x.tobytes()) for k, x in enumerate(IMAGES)] == [(d.label, d.data) for d in made.values()]


@pytest.mark.parametrize("flags", [
    ["-gray", "-resize_height", "2", "-resize_width", "3", "--backend=lmdb"],
    ["--gray=true", "--encoded=false", "--resize_height=2", "--resize_width=3", "--nocheck_size", "--noencoded"],
    ["--gray=True", "--encoded=NO", "--resize-height=2", "--resize-width=3", "--check-size=f", "--skip_bad"],
    ["--nogray", "--gray=1", "--resize_height=2", "--resize_width=3", "--backend", "lmdb", "--threads=2"]])
def test_flags_as_gflags_takes_them(pictures, flags):
    """One dash or two, values after = or a blank, switches with and without a value, dashes within a name as well as
    underscores; before the arguments or among."""
    assert 0 == main(["convert_imageset", *flags, "pics/", "list.txt", "first"])
    assert 0 == main(["convert_imageset", "pics/", *flags, "list.txt", "among"])

    assert {(1, 2, 3)} == {(d.channels, d.height, d.width) for d in records("first").values()}
    assert records("first") == records("among")


def test_shuffle_follows_from_the_seed(pictures):
    """The same seed gives the same order; all images are there, numbered anew."""
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        assert 0 == main(["convert_imageset", "--shuffle", f"--seed={seed}", "pics/", "list.txt", name])

    a, b, c = (list(records(name)) for name in "abc")
    assert a == b != c
    assert [f"0000000{k}" for k in range(7)] == [key.partition("_")[0] for key in a]
    assert sorted(key.partition("_")[2] for key in a) == [f"{k}.png" for k in range(7)]


def test_skip_bad(pictures, capsys):
    """Missing and damaged images are left out, counted and listed at the end."""
    (pictures / "pics" / "2.png").write_bytes(b"no image")
    (pictures / "pics" / "4.png").unlink()

    assert 1 == main(["convert_imageset", "pics/", "list.txt", "db"])
    assert "list.txt:5: there is no file pics/4.png" in capsys.readouterr().err
    assert 0 == main(["convert_imageset", "--skip-bad", "pics/", "list.txt", "db"])
    found = lines(capsys.readouterr())
    assert ["I convert_imageset: Processed 5 files.", "W convert_imageset: left out 2 of 7 images:"] == found[2:4]
    assert [True, True] == [line.startswith(words) for line, words in zip(found[4:], (
        "  list.txt:3: pics/2.png is no image", "  list.txt:5: there is no file pics/4.png"), strict=True)]
    assert ["0", "1", "3", "5", "6"] == [key[7] for key in records("db")]


def test_nothing_to_write(pictures, capsys):
    """Where no image can be read there is an error with the first path, and no database; Caffe leaves an empty one."""
    before = {path.name for path in pictures.iterdir()}
    for flags, root, words in ((["--skip-bad"], "pisc/", "list.txt:1: none of the 7 images could be read, so there is "
                                "no database; the first: there is no file pisc/0.png"),
                               ([], "pisc/", "list.txt:1: there is no file pisc/0.png")):
        assert 1 == main(["convert_imageset", *flags, root, "list.txt", "db"])
        assert words in capsys.readouterr().err
    assert set() == left_behind(pictures, before)


def test_class_folders(pictures, capsys):
    """Without a list, folders are classes, and labels.txt names them; a second database needs the same ones."""
    for name, k in (("dog", 1), ("cat", 2), ("cat", 3)):
        (pictures / "photos" / name).mkdir(parents=True, exist_ok=True)
        (pictures / "pics" / f"{k}.png").rename(pictures / "photos" / name / f"{k}.png")

    assert 0 == main(["convert_imageset", "photos", "made/train"])
    assert 0 == main(["convert_imageset", "--gray", "photos", "made/test"])
    assert {"00000000_cat/2.png": 0, "00000001_cat/3.png": 0, "00000002_dog/1.png": 1} == {
        key: datum.label for key, datum in records("made/train").items()}
    assert "cat\ndog\n" == (pictures / "made" / "labels.txt").read_text()
    (pictures / "photos" / "cat").rename(pictures / "photos" / "lion")
    assert 1 == main(["convert_imageset", "photos", "made/more"])
    assert "labels.txt exists and holds other classes: these are dog, lion" in capsys.readouterr().err
    assert {"train", "test", "labels.txt"} == {path.name for path in (pictures / "made").iterdir()}


@pytest.mark.parametrize(("args", "words"), [
    (["pics/", "list.txt"], "list.txt is a file, and the name of the database is missing"),
    (["pics/", "list.txt", "db", "--backend=rocks"], "must be lmdb or leveldb, got 'rocks'"),
    (["pics/", "list.txt", "pics", "--replace", "--backend=leveldb"], "holds other files than a LevelDB, such as 0"),
    (["pics/", "list.txt", "db", "--threads=0"], "--threads: expects a whole number, 1 or more"),
    (["pics/", "list.txt", "db", "--seed=-1", "--shuffle"], "--seed: expects a whole number, 0 or more, got '-1'"),
    (["pics/", "none.txt", "db"], "cannot read the list none.txt: No such file"),
    (["pics/", "list.txt", "pics"], "pics exists already, and holds other files .* 0.png\n.*choose another name"),
    (["pics/", "list.txt", "pics", "--replace"], "pics exists already, and holds other files than an LMDB"),
    (["pics/", "list.txt", "list.txt", "--replace"], "list.txt exists already, and is a file"),
    (["pics/", "list.txt", "", "--replace"], "an LMDB needs a name"),
    (["pics/", "list.txt", "db", "--gray=maybe"], "argument --gray: expects true or false, got 'maybe'\n"),
    (["pics/", "list.txt", "db", "--nogray=true"], "argument --nogray: takes no value, got 'true'\n"),
    (["pics/", "list.txt", "db", "--replace=true"], "argument --replace: takes no value, got 'true'\n"),
    (["pics/", "list.txt", "db", "--encode_type=doc"], "cannot be encoded as '.doc'\n.*.png, .jpg and .bmp can"),
    (["pics/", "list.txt", "db", "--grey"], "did you mean '--gray'")])
def test_mistakes(pictures, capsys, args, words):
    """Each is one message with status 1, and nothing is written."""
    before = {path.name for path in pictures.iterdir()}

    try:
        status = main(["convert_imageset", *args])
    except SystemExit as stopped:
        status = stopped.code
    assert 1 == status
    assert re.search(words, capsys.readouterr().err)
    assert set() == left_behind(pictures, before)


def test_imageset_as_a_leveldb(pictures):
    """It holds the records that an LMDB would."""
    assert 0 == main(["convert_imageset", "pics/", "list.txt", "db"])
    assert 0 == main(["convert_imageset", "--backend=leveldb", "pics/", "list.txt", "level"])

    assert list(LmdbSource("db").records()) == list(LevelDbSource("level").records())


def test_flags_without_effect(pictures, capsys):
    """One size alone, grey files that are stored as they are, and a seed without a shuffle are warned of."""
    assert 0 == main(["convert_imageset", "--resize_width=3", "--seed=2", "pics/", "list.txt", "a"])
    assert 0 == main(["convert_imageset", "--gray", "--encoded", "pics/", "list.txt", "b"])

    said = capsys.readouterr().err
    for words in ("the images keep their sizes", "--seed has no effect without --shuffle",
                  "--gray has no effect on files that are stored as they are"):
        assert 1 == said.count(words)


def test_replace_and_stop(pictures, monkeypatch, capsys):
    """--replace keeps the old database until the new one is complete; Ctrl-C in between leaves the old one alone."""
    write_lmdb("db", [("old", make(IMAGES[0], 9))])
    before = {path.name for path in pictures.iterdir()}
    make_one, made = imageset._make, []

    def stop_at_fourth(listed, form):
        made.append(listed)
        if len(made) == 4:
            raise KeyboardInterrupt
        return make_one(listed, form)

    with monkeypatch.context() as patch:
        patch.setattr(imageset, "_make", stop_at_fourth)
        assert 130 == main(["convert_imageset", "--replace", "--threads=1", "pics/", "list.txt", "db"])
    assert ["old"] == list(records("db"))
    assert set() == left_behind(pictures, before)
    assert 0 == main(["convert_imageset", "--replace", "pics/", "list.txt", "db"])
    assert 7 == len(records("db"))
    assert set() == left_behind(pictures, before)


def test_two_at_once(pictures, monkeypatch, capsys):
    """A database that another program has made meanwhile is not replaced."""
    make_one = imageset._make

    def make_after_the_other(listed, form):
        if listed.number == 5:
            write_lmdb("db", [("other", make(IMAGES[0], 9))])
        return make_one(listed, form)

    monkeypatch.setattr(imageset, "_make", make_after_the_other)
    assert 1 == main(["convert_imageset", "--threads=1", "pics/", "list.txt", "db"])
    assert "db was made by another program while this one ran" in capsys.readouterr().err
    assert ["other"] == list(records("db"))


def test_what_a_killed_run_left(pictures, capsys):
    """It is named, and stays: another program may be writing it. Names that only look like it are not."""
    for name in (".db.0123abcd.tmp", ".db.0123abce.tmp.old", ".db.x.tmp", ".db2.0123abcd.tmp"):
        (pictures / name).mkdir()

    assert 0 == main(["convert_imageset", "pics/", "list.txt", "db"])
    assert [".db.0123abcd.tmp", ".db.0123abce.tmp.old"] == re.findall(
        r"/(\.db\S+) is part of an LMDB: .* was killed", capsys.readouterr().err)
    assert (pictures / ".db.0123abcd.tmp").is_dir()


def test_sigterm(pictures, monkeypatch):
    """It ends a tool with its usual status, and what is half-written is deleted."""
    before, make_one = {path.name for path in pictures.iterdir()}, imageset._make
    handler = signal.getsignal(signal.SIGTERM)

    def end_at_fourth(listed, form):
        if listed.number == 3:
            signal.raise_signal(signal.SIGTERM)
        return make_one(listed, form)

    monkeypatch.setattr(imageset, "_make", end_at_fourth)
    with pytest.raises(SystemExit, match="143"):
        main(["convert_imageset", "--threads=1", "pics/", "list.txt", "db"])
    assert set() == left_behind(pictures, before)
    assert handler == signal.getsignal(signal.SIGTERM)


def test_guessed_kind(pictures, capsys):
    """A file is stored as it is where its name says which kind it is, else the message says how to choose one."""
    (pictures / "pics" / "0.png").rename(pictures / "pics" / "photo")
    (pictures / "list.txt").write_text("1.png 1\nphoto 0\n")

    assert 1 == main(["convert_imageset", "--encoded", "pics/", "list.txt", "db"])
    assert re.search("list.txt:2: an image cannot be encoded as '.photo'\n.*--encode_type=png", capsys.readouterr().err)
    assert 0 == main(["convert_imageset", "--encode_type=PNG", "pics/", "list.txt", "db"])
    assert [(pictures / "pics" / "1.png").read_bytes(), image.encode(IMAGES[0])] == [
        datum.data for datum in records("db").values()]


def test_bar_on_a_terminal(pictures, monkeypatch, capsys):
    """On a terminal a bar counts, Caffe's lines stand above it, and those that count are left out."""
    needs("rich")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(imageset, "REPORTED", 2)

    with progress.counting() as follow:
        assert list("abc") == list(follow("abc", 3))
    assert 0 == main(["convert_imageset", "pics/", "list.txt", "db"])
    said = capsys.readouterr().err
    assert "3/3" in said
    assert "7/7" in said
    assert 1 == said.count("A total of 7 images.")
    assert ["7"] == re.findall(r"Processed (\d+) files", said)


# --- the other tools ---------------------------------------------------------------------------------------------


def test_idx(folder, capsys):
    """Caffe's lines, keys of eight digits; a second run needs --replace."""
    needs("lmdb")
    grey = IMAGES[:, 0]
    (folder / "x").write_bytes(struct.pack(">2H3I", 0, 0x803, 7, 4, 5) + grey.tobytes())
    (folder / "y.gz").write_bytes(gzip.compress(struct.pack(">2HI", 0, 0x801, 7) + bytes([9, 0, 3, 4, 5, 6, 1])))

    assert 0 == main(["convert_idx", "x", "y.gz", "db"])
    assert ["I db_lmdb: Opened lmdb db", "I convert_mnist_data: A total of 7 items.",
            "I convert_mnist_data: Rows: 4 Cols: 5", "I convert_mnist_data: Processed 7 files."] == lines(
                capsys.readouterr())
    assert {f"0000000{k}": Datum(channels=1, height=4, width=5, data=x.tobytes(), label=label)
            for k, (x, label) in enumerate(zip(grey, [9, 0, 3, 4, 5, 6, 1], strict=True))} == records("db")
    assert 1 == main(["convert_idx", "x", "y.gz", "db"])
    assert "db exists already" in capsys.readouterr().err
    assert 0 == main(["convert_idx", "--replace", "x", "y.gz", "db"])
    assert 1 == main(["convert_idx", "y.gz", "x", "other"])
    assert "they are the other way round" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
@pytest.mark.parametrize("args", [["convert_idx", "fifo", "fifo", "db"], ["convert_cifar", "fifo", "db"]])
def test_a_pipe_that_nobody_writes_to(folder, capsys, args):
    """It would never answer, so it is refused at once."""
    os.mkfifo("fifo")
    assert 1 == main(args)
    assert "fifo: it is a pipe or a device, not an ordinary file" in capsys.readouterr().err


def test_cifar(folder, capsys):
    """Two databases, or none; the label of CIFAR-100 that is asked for."""
    needs("lmdb")
    pixels = np.arange(3072, dtype=np.uint8).tobytes()
    (folder / "in").mkdir()
    for name in ("train.bin", "test.bin"):
        (folder / "in" / name).write_bytes(bytes([3, 42]) + pixels)

    assert 0 == main(["convert_cifar", "in", "out"])
    assert 0 == main(["convert_cifar", "in", "coarse", "lmdb", "--label=coarse"])
    assert "Processed 1 files into out/cifar100_train_lmdb." in capsys.readouterr().err
    assert {"00000": Datum(channels=3, height=32, width=32, data=pixels, label=42)} == records("out/cifar100_test_lmdb")
    assert 3 == records("coarse/cifar100_train_lmdb")["00000"].label
    (folder / "half" / "cifar100_test_lmdb" / "x").mkdir(parents=True)
    assert 1 == main(["convert_cifar", "in", "half"])
    assert "half/cifar100_test_lmdb exists already" in capsys.readouterr().err
    assert ["cifar100_test_lmdb"] == [path.name for path in (folder / "half").iterdir()]


def test_image_mean(folder, capsys):
    """Caffe's lines, and the file where one is named."""
    needs("lmdb")
    write_lmdb("db", [(f"{k}", make(x, k)) for k, x in enumerate(IMAGES)])
    mean = IMAGES.sum(0).astype(np.float32) / np.float32(7)

    assert 0 == main(["compute_image_mean", "db", "--backend=lmdb", "mean.binaryproto"])
    found = lines(capsys.readouterr())
    assert ["I db_lmdb: Opened lmdb db", "I compute_image_mean: Starting iteration",
            "I compute_image_mean: Processed 7 files.", "I compute_image_mean: Write to mean.binaryproto",
            "I compute_image_mean: Number of channels: 3"] == found[:5]
    assert [f"I compute_image_mean: mean_value channel [{k}]: " for k in range(3)] == [
        line.rpartition(" ")[0] + " " for line in found[5:]]
    assert np.allclose([float(line.rpartition(" ")[2]) for line in found[5:]], mean.mean((1, 2)), rtol=1e-5)
    assert mean.ravel().tolist() == list(binary.read("mean.binaryproto", BlobProto()).data)
    assert 0 == main(["compute_image_mean", "db"])
    assert "Write to" not in capsys.readouterr().err
    assert 1 == main(["compute_image_mean", "--backend=leveldb", "db"])
    assert "hint: give --backend=lmdb" in capsys.readouterr().err
    assert 1 == main(["compute_image_mean", "--backend=lmbd", "db"])


def test_outputs_that_cannot_be_written(trained, capsys):
    """That is said before anything is read or computed."""
    for args in (["compute_image_mean", "none", "no/mean.binaryproto"],
                 ["extract_features", "net.caffemodel", "net.prototxt", "ip", "no/ip.npz", "all"],
                 ["convert_csv", "none.csv", "no/table.h5"], ["deploy", "none.prototxt", "no/deploy.prototxt"]):
        assert 1 == main(args)
        said = capsys.readouterr().err
        assert re.search("error: (OUTPUT_FILE|OUT): cannot write no/.*: 'no' is not a folder that may", said)
        assert 1 == said.count("\n")


def test_features_as_lmdb(trained, capsys):
    """Keys of ten digits, one record of float_data a sample; where batches pass the end, the first samples follow."""
    assert 0 == main(["extract_features", "net.caffemodel", "net.prototxt", "ip,conv", "a,b.npz", "3", "lmdb", "CPU"])

    said = capsys.readouterr().err
    assert "3 batches of 3 are more than the 7 samples of layer data" in said
    assert "Extracted features of 9 query images for feature blob conv" in said
    ip, conv = records("a"), records("b.npz")
    assert [f"000000000{k}" for k in range(9)] == list(ip) == list(conv)
    net = Net("net.prototxt", TEST, weights="net.caffemodel")
    net.forward()
    for k, values in enumerate(net.blobs["conv"].data):
        assert Datum(channels=2, height=3, width=4, float_data=values.ravel().tolist()) == conv[f"000000000{k}"]
        found = ip[f"000000000{k}"]
        assert (6, 1, 1, False) == (found.channels, found.height, found.width, found.HasField("label"))
        assert net.blobs["ip"].data[k].tolist() == list(found.float_data)
    assert ip["0000000007"] == ip["0000000000"]


def test_features_of_each_image_once(trained):
    """`all` ends with the epoch; a file of arrays holds several blobs."""
    h5py = needs("h5py")
    for out in (["f.h5", "all"], ["f.npz", "all", "npz", "CPU"]):
        assert 0 == main(["extract_features", "net.caffemodel", "net.prototxt", "ip,label", *out])

    with h5py.File("f.h5") as file, np.load("f.npz") as arrays:
        for held in (file, arrays):
            assert {"ip", "label"} == set(held)
            assert (7, 6) == held["ip"].shape
            assert list(range(7)) == held["label"][...].tolist()
        assert (file["ip"][...] == arrays["ip"]).all()


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_features_of_each_readable_image_once(trained, batch):
    """With skip_bad, `all` ends with the epoch as well where whole batches are left out, such as the last one."""
    write_lmdb("some", [(f"{k}", make(x, k) if k not in (2, 6) else Datum(channels=3, height=9, width=2, data=b"no"))
                        for k, x in enumerate(IMAGES)])
    text = (trained / "net.prototxt").read_text().replace('source: "db"', 'source: "some" skip_bad: true')
    assert "skip_bad" in text
    (trained / "some.prototxt").write_text(re.sub("batch_size: 3", f"batch_size: {batch}", text))
    assert 0 == main(["extract_features", "net.caffemodel", "some.prototxt", "ip,label", "f.npz", "all"])

    with np.load("f.npz") as arrays:
        assert [0, 1, 3, 4, 5] == arrays["label"].tolist()


@pytest.mark.parametrize(("args", "words"), [
    (["cov", "a", "1"], "has no blob 'cov'\n.*'conv'"), (["ip,conv", "a", "1"], "each blob needs an output"),
    (["ip,conv", "a,a", "1"], "a is named for 2 blobs"), (["ip", "a", "0"], "BATCHES must be a whole number from 1"),
    (["ip", "a", "-1"], "BATCHES must"), (["ip", "a", "1", "rocks"], "must be lmdb or leveldb"),
    (["ip", "a", "1", "hdf5"], "give OUT a name that ends in .h5"), (["ip", "a.h5", "1", "npz"], "that ends in .npz"),
    (["ip", "a", "1", "hd5"], "hd5"), (["ip", "db", "1"], "db exists already"),
    (["ip", "net.prototxt.npz", "1"], "net.prototxt.npz exists already"),
    (["ip", "a", "1", "lmdb", "TPU"], "expected CPU or GPU")])
def test_features_mistakes(trained, capsys, args, words):
    """Each is one message with status 1, and nothing is written."""
    (trained / "net.prototxt.npz").write_bytes(b"")
    before = {path.name for path in trained.iterdir()}

    assert 1 == main(["extract_features", "net.caffemodel", "net.prototxt", *args])
    assert re.search(words, capsys.readouterr().err)
    assert set() == left_behind(trained, before)
