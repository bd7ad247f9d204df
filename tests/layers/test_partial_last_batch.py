"""partial_last_batch: in TEST the last batch of an epoch holds what is left, so that each sample counts once."""

import re

import numpy as np
import pytest
from extras import needs

from minicaffe import Net
from minicaffe.cli.__main__ import main
from minicaffe.errors import NetError
from minicaffe.io import caffemodel
from minicaffe.proto import TEST, TRAIN, Datum, NetParameter, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver
from minicaffe.solvers.schedule.epochs import share_of_batch
from minicaffe.solvers.schedule.report import MeanOutputs

LABELS = np.arange(13) * 5 % 4


@pytest.fixture
def source(tmp_path):
    """A function that gives a data layer of a type on thirteen images, with more fields in its message."""
    pixels = np.random.default_rng(2).integers(256, size=(13, 3, 6, 5), dtype=np.uint8)

    def data():
        needs("lmdb")
        from minicaffe.data.lmdb import write_lmdb

        write_lmdb(tmp_path / "db", [(f"{i:02d}", Datum(channels=3, height=6, width=5, label=int(LABELS[i]),
                                                        data=pixels[i].tobytes())) for i in range(13)])
        return f'data_param {{ source: "{tmp_path}/db" backend: LMDB'

    def images():
        needs("cv2")
        from minicaffe.io import image

        for i in range(13):
            (tmp_path / f"{i}.png").write_bytes(image.encode(pixels[i]))
        (tmp_path / "list").write_text("".join(f"{i}.png {LABELS[i]}\n" for i in range(13)))
        return f'image_data_param {{ source: "{tmp_path}/list" root_folder: "{tmp_path}/"'

    makers, made = {"Data": data, "ImageData": images}, {}

    def layer(kind, fields):
        message = made.get(kind) or made.setdefault(kind, makers[kind]())
        return (f'layer {{ name: "data" type: "{kind}" top: "x" top: "t" transform_param {{ scale: 0.01 }} '
                f"{message} {fields} }} }}\n")

    return layer


TAIL = """
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
        inner_product_param { num_output: 4 weight_filler { type: "gaussian" } } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "t" top: "accuracy" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }
"""


def labels(net, passes):
    """The labels of so many batches, a list for each."""
    found = []
    for _ in range(passes):
        net.forward()
        assert net.blobs["x"].shape[0] == net.blobs["t"].shape[0]
        found.append(net.blobs["t"].data.astype(int).tolist())
    return found


def net_on(text, phase):
    return Net(proto_text.parse(text, NetParameter()), phase)


@pytest.mark.parametrize("kind", ["Data", "ImageData"])
def test_the_last_batch_holds_what_is_left(source, kind):
    """In TEST thirteen samples in fives are 5, 5 and 3, epoch after epoch; in TRAIN all batches are full."""
    text = source(kind, "batch_size: 5 partial_last_batch: true")
    expected = [LABELS[:5].tolist(), LABELS[5:10].tolist(), LABELS[10:].tolist()]
    endless = np.tile(LABELS, 2).tolist()

    assert expected * 2 == labels(net_on(text, TEST), 6)
    assert [endless[0:5], endless[5:10], endless[10:15], endless[15:20]] == labels(net_on(text, TRAIN), 4)


@pytest.mark.parametrize("kind", ["Data", "ImageData"])
def test_a_batch_larger_than_the_source(source, kind):
    """Each batch is one epoch."""
    assert [LABELS.tolist()] * 2 == labels(net_on(source(kind, "batch_size: 40 partial_last_batch: true"), TEST), 2)


@pytest.mark.parametrize("tests", ["test_iter: 3", "test_iter_auto: true"])
def test_a_solver_counts_each_sample_once(source, tests):
    """The scores are those of one batch with all samples, whether test_iter is given or found out."""
    def solver(batch, tests, more=""):
        net = source("Data", f"batch_size: {batch} {more}") + TAIL
        return get_solver(proto_text.parse(
            f'net_param {{ {net} }} {tests} test_interval: 9 random_seed: 3 base_lr: 0.1 lr_policy: "fixed"',
            SolverParameter()))

    whole = dict(solver(13, "test_iter: 1").test(0))
    parts = solver(5, tests, "partial_last_batch: true")

    for _ in range(2):
        assert whole == pytest.approx(dict(parts.test(0)), rel=1e-6)
    assert whole != pytest.approx(dict(solver(5, "test_iter: 3").test(0)), rel=1e-6)  # two samples count twice


def test_the_command_counts_each_sample_once(source, tmp_path, capsys):
    """`minicaffe test` weights the last batch by its size."""
    scores = []
    for batch, count in ((13, 1), (5, 3)):
        text = source("Data", f"batch_size: {batch} partial_last_batch: true") + TAIL
        (tmp_path / f"net{batch}").write_text(text)
        if batch == 13:
            caffemodel.write(str(tmp_path / "w.caffemodel"), net_on(text, TRAIN))
        assert 0 == main(["test", "--model", str(tmp_path / f"net{batch}"), "--weights", f"{tmp_path}/w.caffemodel",
                          "--iterations", str(count)])
        said = capsys.readouterr()
        scores.append([float(value) for value in
                       re.findall(r"\] (?:accuracy|loss) = ([\d.]+)", said.out + said.err)[-2:]])

    assert 2 == len(scores[0])
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


# --- with samples that are left out ----------------------------------------------------------------------------------


@pytest.fixture
def with_bad(tmp_path):
    """A function that gives a Data layer of thirteen samples, of which those with the given numbers are bad."""
    needs("lmdb")
    from minicaffe.data.lmdb import write_lmdb

    pixels = np.random.default_rng(2).integers(256, size=(13, 3, 6, 5), dtype=np.uint8)

    def layer(bad, fields):
        if not (tmp_path / "bad").exists():
            write_lmdb(tmp_path / "bad", [
                (f"{i:02d}", Datum(channels=3, height=6, width=5, label=int(LABELS[i]),
                                   data=b"short" if i in bad else pixels[i].tobytes())) for i in range(13)])
        return ('layer { name: "data" type: "Data" top: "x" top: "t" transform_param { scale: 0.01 } '
                f'data_param {{ source: "{tmp_path}/bad" backend: LMDB skip_bad: true {fields} }} }}\n')

    layer.images = lambda bad: np.delete(pixels, bad, axis=0).reshape(-1, 90) * 0.01
    return layer


def scores_of(x, labels, net):
    """The loss and the accuracy of InnerProduct's weights on rows x, computed here, and sorted."""
    weights, bias = (blob.data.astype(np.float64) for blob in net.params["ip"])
    z = x @ weights.T + bias
    loss = np.log(np.exp(z - z.max(1, keepdims=True)).sum(1)) + z.max(1) - z[np.arange(len(z)), labels]
    return sorted([loss.mean(), (z.argmax(1) == labels).mean()])


@pytest.mark.parametrize("bad", [(0,), (12,), (5, 6), (0, 1, 11, 12)], ids=str)
@pytest.mark.parametrize(("batch", "fields"), [(1, ""), (1, "partial_last_batch: true"), (2, ""), (13, ""), (5, "")])
def test_each_test_counts_each_readable_sample_once(with_bad, bad, batch, fields):
    """Three tests in a row have the scores of all samples that can be read, although whole batches are left out."""
    text = with_bad(bad, f"batch_size: {batch} {fields}") + TAIL
    tests = "test_iter: 13" if fields else "test_iter_auto: true"
    solver = get_solver(proto_text.parse(f'net_param {{ {text} }} {tests} test_interval: 9 random_seed: 3 base_lr: 0.1 '
                                         'lr_policy: "fixed"', SolverParameter()))
    expected = scores_of(with_bad.images(bad), np.delete(LABELS, bad), solver.net)

    for _ in range(3):
        assert expected == pytest.approx(sorted(value for _, value in solver.test(0)), rel=1e-5)


def test_the_command_counts_each_readable_sample_once(with_bad, tmp_path, capsys):
    """`minicaffe test` ends where all have come: with batches of one, there are fewer than samples."""
    bad = (6, 12)
    text = with_bad(bad, "batch_size: 1 partial_last_batch: true") + TAIL
    (tmp_path / "net").write_text(text)
    net = net_on(text, TRAIN)
    caffemodel.write(str(tmp_path / "w.caffemodel"), net)
    assert 0 == main(["test", "--model", str(tmp_path / "net"), "--weights", f"{tmp_path}/w.caffemodel",
                      "--iterations", "13"])
    said = capsys.readouterr()
    found = [float(value) for value in re.findall(r"\] (?:accuracy|loss) = ([\d.]+)", said.out + said.err)[-2:]]

    expected = scores_of(with_bad.images(bad), np.delete(LABELS, bad), net)
    assert expected == pytest.approx(sorted(found), rel=1e-5)


@pytest.mark.parametrize("batch", [5, 12])
def test_an_output_with_a_row_for_each_sample(source, batch):
    """Each row has the mean over the batches that have this row; the last batch, even one of one sample, has fewer."""
    text = source("Data", f"batch_size: {batch} partial_last_batch: true")
    net = net_on(text, TEST)
    mean = MeanOutputs(net)
    for _ in range(-(-13 // batch)):
        mean.add(net.forward(), share_of_batch(net))
    found = [value for name, value in mean.results() if name == "t"]

    assert [LABELS[row::batch].mean() for row in range(batch)] == pytest.approx(found)


def test_an_output_of_another_shape_has_no_mean(source):
    """An output that changes more than its number of rows is named, with both shapes."""
    net = net_on(source("Data", "batch_size: 5"), TEST)
    mean = MeanOutputs(net)
    mean.add(net.forward())
    net.blobs["t"].reshape(5, 2)
    with pytest.raises(NetError, match=r"output 't' .* was \(5,\) and is now \(5, 2\)"):
        mean.add(0.0)
