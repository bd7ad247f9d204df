"""`minicaffe test` with the flags that judge each prediction."""

import contextlib
import csv
import json
from pathlib import Path

import numpy as np
import pytest
from extras import needs
from net_tools import layer

from minicaffe import TEST, Net
from minicaffe.cli import results
from minicaffe.cli.__main__ import main
from minicaffe.data.datum import make
from minicaffe.data.lmdb import write_lmdb
from minicaffe.io import weights
from minicaffe.records import picture, score_pictures

DATA = 'data_param { source: "db" backend: LMDB batch_size: 4 } transform_param { scale: 0.01 }'
IP = ('inner_product_param { num_output: 3 weight_filler { type: "constant" } bias_filler { type: "constant" } }')


@pytest.fixture
def classes(tmp_path, monkeypatch):
    """Ten images of 3 × 1 × 2 numbers, and a net that calls each image by its brightest channel.

    Sample i shows class i % 3 and has this label, but the label of the samples 2 and 7 is 0.
    """
    needs("lmdb")
    monkeypatch.chdir(tmp_path)
    records = []
    for i in range(10):
        image = np.zeros((3, 1, 2), np.uint8)
        image[i % 3] = 50 + 10 * i
        records.append((f"img{i}".encode(), make(image, 0 if i in (2, 7) else i % 3).SerializeToString()))
    write_lmdb("db", records)
    text = (layer("Data", "", "x label", DATA) + layer("InnerProduct", "x", "ip", IP)
            + layer("SoftmaxWithLoss", "ip label", "loss") + layer("Accuracy", "ip label", "accuracy"))
    (tmp_path / "net.prototxt").write_text(text)
    net = Net("net.prototxt", TEST)
    net.params["ip"][0].data[...] = np.repeat(np.eye(3), 2, axis=1)
    weights.save("w.caffemodel", net)
    return tmp_path


def lines(name):
    return Path(name).read_text(encoding="utf-8").splitlines()


def run(*flags):
    return main(["test", "--model", "net.prototxt", "--weights", "w.caffemodel", *flags])


def test_predictions(classes, capsys):
    """A row for each sample of the whole set, although 10 is no multiple of the batch."""
    assert 0 == run("--predictions", "out.csv", "--top", "2")
    rows = list(csv.DictReader(lines("out.csv")))

    assert [f"img{i}" for i in range(10)] == [row["key"] for row in rows]
    assert [i % 3 for i in range(10)] == [int(row["prediction"]) for row in rows]
    assert ["0"] * 2 == [row["right"] for row in rows if row["label"] != row["prediction"]]
    assert ["key", "label", "prediction", "right", "top_1", "p_1", "top_2", "p_2"] == list(rows[0])
    e = np.exp(2 * 0.5)
    assert pytest.approx(e / (e + 2), rel=1e-5) == float(rows[0]["p_1"])
    assert "10 samples, all of the test set; 'ip' against 'label', which layer 'loss' reads" in capsys.readouterr().out


def test_scores_agree_with_accuracy(classes, capsys):
    """The table's accuracy is that of the net's own layer over the same samples, and the rest follows by hand."""
    assert 0 == run("--json", "s.json")
    captured = capsys.readouterr()
    found = json.loads((classes / "s.json").read_text())

    assert "accuracy = 0.8\n" in captured.err
    assert "accuracy 0.8000" in captured.out
    assert [[4, 1, 1], [0, 2, 0], [0, 0, 2]] == found["confusion"]
    assert pytest.approx([1, 2 / 3, 2 / 3]) == found["precision"]
    assert pytest.approx([2 / 3, 1, 1]) == found["recall"]


def test_json_on_stdout(classes, capsys):
    """--json without a file is all that stdout holds; what JSON has no word for is null."""
    assert 0 == run("--predictions", "out.csv", "--scores", "--json")
    found = json.loads(capsys.readouterr().out)

    assert (10, 0.8) == (found["samples"], found["accuracy"])
    assert (classes / "out.csv").exists()
    assert '{\n "p": null\n}\n' == results.json_text({"p": float("nan")})


def test_it_says_how_many_were_counted(classes, capsys):
    """Fewer iterations leave samples out; more than an epoch count no sample twice."""
    assert 0 == run("--scores", "--iterations", "2")
    assert "8 samples of 10;" in (out := capsys.readouterr().out)
    assert "not counted: 2 samples; leave --iterations out, or give 3, for all" in out

    assert 0 == run("--scores", "--iterations", "7")
    assert "10 samples, all of the test set;" in capsys.readouterr().out


def test_names(classes, capsys):
    """Names stand in the table and beside the numbers in the file; a wrong number of them is refused."""
    (classes / "names.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    assert 0 == run("--predictions", "out.csv", "--labels", "names.txt")
    rows = list(csv.DictReader(lines("out.csv")))

    assert ("blue", "red", "blue") == (rows[2]["prediction_name"], rows[2]["label_name"], rows[2]["top_1"])
    assert "green" in capsys.readouterr().out
    (classes / "names.txt").write_text("red\ngreen\n", encoding="utf-8")
    assert 1 == run("--scores", "--labels", "names.txt")
    assert "--labels: names.txt names 2 classes, but the net has 3" in capsys.readouterr().err


def test_pictures(classes, capsys, monkeypatch):
    """Both pictures are written, and the mistakes are the wrong samples, the most certain first."""
    needs("matplotlib")
    drawn, draw = [], score_pictures.draw_images
    monkeypatch.setattr(score_pictures, "draw_images", lambda path, rows, title: (drawn.extend(rows),
                                                                                   draw(path, rows, title)))
    assert 0 == run("--confusion", "c.png", "--mistakes", "m.svg")

    assert (classes / "c.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (classes / "m.svg").read_bytes()[:1000]
    assert ["img7", "img2"] == [text.split("\n")[0] for _, text, _ in drawn[0][1]]
    assert "img7\n1 84.6 %\nis 0" == drawn[0][1][0][1]
    np.testing.assert_allclose(drawn[0][1][0][0][:, 0, 0], [0, 1.2, 0], rtol=1e-6)


@pytest.mark.parametrize(("flags", "message"), [
    (["--confusion", "c.jpg"], "--confusion: a picture is written as .png or .svg, not as c.jpg"),
    (["--predictions", "no/out.csv"], "--predictions: cannot write no/out.csv: 'no' is not a folder"),
    (["--scores", "--output", "ipp"], "--output: the net has no blob 'ipp'\n  hint: did you mean 'ip'?"),
    (["--labels", "names.txt"], "--labels has no effect without --scores"),
    (["--scores", "--top", "0"], "--top: expects a whole number, 1 or more, got '0'")])
def test_errors(classes, capsys, flags, message):
    """A mistake in a flag is one message, before the run."""
    needs("matplotlib")
    with contextlib.suppress(SystemExit):  # argparse's way to end with status 1
        assert 1 == run(*flags)
    assert message in (err := capsys.readouterr().err)
    assert "Batch 0" not in err


def test_a_mistake_that_is_nan(classes, monkeypatch):
    """It is the last of the mistakes, and no right answer takes its place."""
    drawn = []
    monkeypatch.setattr(score_pictures, "check_can_draw", lambda flag, path: None)
    monkeypatch.setattr(score_pictures, "draw_images", lambda path, rows, title: drawn.extend(rows))
    bright = [(200, 0), (300, 1), (np.nan, 2), (100, 0)]  # of the first channel, and the label
    write_lmdb("nan", [(f"n{i}", make(np.float32([[[x, x]], [[0, 0]], [[0, 0]]]), k)) for i, (x, k) in
                       enumerate(bright)])
    text = (classes / "net.prototxt").read_text()
    (classes / "net.prototxt").write_text(text.replace('"db"', '"nan"'))

    assert 0 == run("--mistakes", "m.png")
    assert ["n1", "n2"] == [text.split("\n")[0] for _, text, _ in drawn[0][1]]


def test_without_matplotlib(classes, capsys, monkeypatch):
    """A picture cannot be drawn: the extra is named before the run. Without a picture nothing is needed."""
    monkeypatch.setattr(picture, "Figure", None)
    assert 1 == run("--confusion", "c.png")
    assert "pip install 'minicaffe[plot]'" in (err := capsys.readouterr().err)
    assert "Batch 0" not in err
    assert 0 == run("--scores")


def test_yes_or_no(tmp_path, monkeypatch, capsys):
    """A multi-label net: scores for each label, and no confusion matrix."""
    h5py = needs("h5py")
    monkeypatch.chdir(tmp_path)
    x = np.array([[3, -1], [-2, 2], [1, -3], [-1, -2], [2, 1]], np.float32)
    with h5py.File("a.h5", "w") as file:
        file["x"], file["t"] = x, np.array([[1, 0], [0, 1], [0, 0], [0, 1], [1, 1]], np.float32)
    (tmp_path / "list.txt").write_text("a.h5\n")
    text = layer("HDF5Data", "", "x t", 'hdf5_data_param { source: "list.txt" batch_size: 2 }')
    text += layer("InnerProduct", "x", "ip", IP.replace("3", "2")) + layer("SigmoidCrossEntropyLoss", "ip t", "loss")
    (tmp_path / "net.prototxt").write_text(text)
    net = Net("net.prototxt", TEST)
    net.params["ip"][0].data[...] = np.eye(2)
    weights.save("w.caffemodel", net)

    assert 0 == run("--json", "s.json", "--predictions", "out.csv")
    found = json.loads((tmp_path / "s.json").read_text())
    rows = list(csv.reader(lines("out.csv")))

    assert 5 == found["samples"] == len(rows) - 1
    assert pytest.approx(2 / 10) == found["hamming_loss"]
    assert pytest.approx([1, (1 + 1 + 3 / 4) / 3]) == found["average_precision"]
    assert pytest.approx([2 / 3, 1]) == found["precision"]
    assert pytest.approx([1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(2.0))]) == found["threshold"]
    assert "mean average precision (mAP) 0.9583" in capsys.readouterr().out
    net.params["ip"][0].data[1] = np.nan
    weights.save("w.caffemodel", net)
    assert 0 == run("--json", "s.json")
    assert "warning: the answers to 5 of these samples are NaN" in capsys.readouterr().out
    assert None is json.loads((tmp_path / "s.json").read_text())["threshold"][1]

    assert 1 == run("--confusion", "c.png")
    assert "questions of yes or no" in capsys.readouterr().err


def test_narrow_terminal(classes, capsys, monkeypatch):
    """No line is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "44")
    (classes / "names.txt").write_text("an early red of long name\na green\nsome blue of long name\n")
    assert 0 == run("--scores", "--labels", "names.txt")

    assert max(map(len, capsys.readouterr().out.splitlines())) <= 44


def test_a_class_for_each_place(tmp_path, monkeypatch, capsys):
    """A net that gives each pixel a class is scored pixel by pixel; pixels of the ignored label do not count."""
    monkeypatch.chdir(tmp_path)
    data = ("dummy_data_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 } shape { dim: 2 dim: 4 dim: 5 } "
            'data_filler { type: "gaussian" } data_filler { value: %d } }')
    for label in (1, 2):
        (tmp_path / "net.prototxt").write_text(layer("DummyData", "", "x t", data % label) + layer(
            "Convolution", "x", "y", "convolution_param { num_output: 3 kernel_size: 1 weight_filler { "
            'type: "gaussian" } }') + layer("SoftmaxWithLoss", "y t", "loss", "loss_param { ignore_label: 2 }"))
        weights.save("w.caffemodel", Net("net.prototxt", TEST))
        assert 0 == run("--json", f"{label}.json", "--iterations", "3")
    found, ignored = (json.loads((tmp_path / f"{label}.json").read_text()) for label in (1, 2))

    assert [0, 3 * 2 * 4 * 5, 0] == found["support"]
    assert [0, 0, 0] == ignored["support"]
    assert "left out: 120 with the label 2, which is ignored" in capsys.readouterr().out
    assert 1 == run("--predictions", "out.csv")
    assert "this net predicts 20 classes a sample, one for each place" in capsys.readouterr().err


def test_with_skip_bad(classes, capsys):
    """A picture that cannot be read is left out of the scores, and is not counted as missing."""
    needs("cv2")
    from minicaffe.io import image

    for i in range(5):
        data = image.encode(np.full((3, 1, 2), 40 * i, np.uint8))
        (classes / f"{i}.png").write_bytes(b"" if i == 3 else data)
    (classes / "list.txt").write_text("".join(f"{i}.png 0\n" for i in range(5)))
    text = (classes / "net.prototxt").read_text()
    (classes / "net.prototxt").write_text(
        layer("ImageData", "", "x label", 'image_data_param { source: "list.txt" batch_size: 2 }')
        + text[text.index("\n") + 1:])

    assert 0 == run("--scores", "--skip-bad")
    out = capsys.readouterr().out
    assert "4 samples of 5;" in out
    assert "not counted" not in out
