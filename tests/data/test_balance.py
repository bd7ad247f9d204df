"""balance_classes: each class comes equally often, in an order that follows from labels, seed and epoch."""

import logging

import numpy as np
import pytest
from extras import needs

from minicaffe import Net
from minicaffe.data.balance import BalancedOrder
from minicaffe.errors import DataError
from minicaffe.proto import TEST, TRAIN, Datum, NetParameter, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver

SIZES = {3: 31, 0: 2, 7: 17, 5: 9}  # samples of each class: 59, which four does not divide
LABELS = np.random.default_rng(5).permutation(np.repeat(list(SIZES), list(SIZES.values())))


def epoch_of(order, epoch):
    return order.at(epoch * order.size, order.size)


def test_each_class_comes_equally_often():
    """In each epoch the classes have equally many places, up to one; over four epochs they have exactly as many."""
    order = BalancedOrder(LABELS, 8)
    counts = [[(LABELS[epoch_of(order, epoch)[1]] == label).sum() for label in SIZES] for epoch in range(8)]

    assert {14, 15} == set(np.ravel(counts))
    assert [59] * 4 == np.sum(counts[:4], axis=0).tolist() == np.sum(counts[4:], axis=0).tolist()


def test_no_sample_comes_again_before_its_class_was_there():
    """Over the epochs, each class goes through all of its samples, in another order each time."""
    order = BalancedOrder(LABELS, 8)
    rounds, numbers = np.concatenate([epoch_of(order, epoch) for epoch in range(12)], axis=1)
    for label in SIZES:
        mine = LABELS[numbers] == label
        for one in range(rounds[mine].max()):
            found = numbers[mine & (rounds == one)]
            assert sorted(found) == np.flatnonzero(LABELS == label).tolist()
    pairs = set(zip(rounds.tolist(), numbers.tolist(), strict=True))
    assert 12 * 59 == len(pairs)  # so what is drawn for a sample is new each time


def test_the_order_follows_from_seed_and_place():
    """The order is the same in whatever pieces it is asked for; another seed, also by `reseed`, gives another order."""
    whole = np.concatenate([epoch_of(BalancedOrder(LABELS, 8), epoch) for epoch in range(3)], axis=1)
    order = BalancedOrder(LABELS, 9)
    other = np.array(order.at(0, 59))
    order.reseed(8)
    pieces = [np.array(order.at(start, 13)) for start in (117, 0, 52, 104)]

    for start, piece in zip((117, 0, 52, 104), pieces, strict=True):
        np.testing.assert_array_equal(whole[:, start:start + 13], piece)
    assert (other != whole[:, :59]).any()
    assert (whole[1, :59] != whole[1, 59:118]).any()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_places_of_an_epoch_are_shuffled(seed):
    """The classes are mixed: the mean place of each class is near the middle of the epoch."""
    labels = np.repeat([0, 1], [900, 100])
    _, numbers = BalancedOrder(labels, seed).at(0, 1000)
    places = np.flatnonzero(labels[numbers] == 1)

    assert 500 == len(places)
    assert abs(places.mean() - 499.5) < 5 * np.sqrt(1000**2 / 12 / 500)


def test_many_classes_of_one_sample():
    """A class of a single sample comes as often as the others, and each time with other draws."""
    labels = np.concatenate([np.zeros(190), np.arange(1, 11)])
    rounds, numbers = BalancedOrder(labels, 4).at(0, 200)
    counts = np.bincount(labels[numbers].astype(int))

    assert set(counts.tolist()) == {18, 19}
    assert sorted(rounds[numbers == 195].tolist()) == list(range(counts[6]))


# --- in the layers --------------------------------------------------------------------------------------------------


@pytest.fixture
def layer(tmp_path):
    """A function that makes a data layer of a type with the LABELS, or others, and more fields in its message."""
    def data(labels):
        needs("lmdb")
        from minicaffe.data.lmdb import write_lmdb

        write_lmdb(tmp_path / "db", [(f"{i:02d}", Datum(channels=1, height=2, width=3, label=int(label),
                                                        data=bytes([i] * 6))) for i, label in enumerate(labels)])
        return f'data_param {{ source: "{tmp_path}/db" backend: LMDB'

    def images(labels):
        needs("cv2")
        from minicaffe.io import image

        for i in range(len(labels)):
            (tmp_path / f"{i}.png").write_bytes(image.encode(np.full((1, 2, 3), i, np.uint8)))
        (tmp_path / "list").write_text("".join(f"{i}.png {label}\n" for i, label in enumerate(labels)))
        return f'image_data_param {{ source: "{tmp_path}/list" root_folder: "{tmp_path}/" is_color: false'

    makers = {"Data": data, "ImageData": images}
    return lambda kind, fields="batch_size: 6 balance_classes: true", labels=LABELS, more="": (
        f'layer {{ name: "data" type: "{kind}" top: "x" top: "t" {more} {makers[kind](labels)} {fields} }} }}\n')


def batches(text, phase, count):
    """The labels and the first pixels of so many batches."""
    net = Net(proto_text.parse(text, NetParameter()), phase)
    found = []
    for _ in range(count):
        net.forward()
        found.append(np.stack([net.blobs["t"].data, net.blobs["x"].data[:, 0, 0, 0]]))
    return np.concatenate(found, axis=1).astype(int)


@pytest.mark.parametrize("kind", ["Data", "ImageData"])
def test_a_layer_balances_in_training_alone(layer, kind, caplog):
    """In TRAIN each class comes equally often, and each label is its image's; in TEST the order is the source's."""
    caplog.set_level(logging.INFO, "minicaffe")
    text = layer(kind)
    labels, numbers = batches(text, TRAIN, 59)

    np.testing.assert_array_equal(LABELS[numbers], labels)
    assert 6 * 59 // 4 <= min(np.bincount(labels)[list(SIZES)]) <= max(np.bincount(labels)[list(SIZES)]) <= 89
    assert "Balancing 4 classes of 2 to 31 samples: each comes 14 times in an epoch." in caplog.messages
    np.testing.assert_array_equal(LABELS[:12], batches(text, TEST, 2)[0])


def test_a_stopped_training_goes_on_in_the_same_order(layer, tmp_path):
    """A snapshot in the middle of an epoch keeps the order and what is drawn for each sample."""
    net = layer("Data", more="transform_param { mirror: true brightness: 0.5 }") + """
      layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param { num_output: 8
              weight_filler { type: "xavier" } } }
      layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }"""
    fields = f'base_lr: 0.001 lr_policy: "fixed" snapshot_prefix: "{tmp_path}/s"'
    first, second = (get_solver(proto_text.parse(f"net_param {{ {net} }} {fields} {more}", SolverParameter()))
                     for more in ("random_seed: 1 snapshot: 8", "random_seed: 2"))
    first.step(20)
    second.restore(f"{tmp_path}/s_iter_8.solverstate")
    second.step(12)

    np.testing.assert_array_equal(first.net.params["ip"][0].data, second.net.params["ip"][0].data)


@pytest.mark.parametrize("skip", ["true", "false"])
def test_a_record_that_is_no_datum(tmp_path, skip):
    """A record that is no Datum is an error that names it; with skip_bad it never comes."""
    needs("lmdb")
    from minicaffe.data.lmdb import write_lmdb

    records = [(f"{i}", Datum(channels=1, height=2, width=3, label=i % 2, data=bytes([i] * 6))) for i in range(5)]
    write_lmdb(tmp_path / "db", [*records, ("9", b"\xff\xff")])
    text = (f'layer {{ name: "data" type: "Data" top: "x" top: "t" data_param {{ source: "{tmp_path}/db" backend: LMDB '
            f"batch_size: 7 balance_classes: true skip_bad: {skip} }} }}")
    if skip == "true":
        assert {0, 1, 2, 3, 4} == set(batches(text, TRAIN, 3)[1].tolist())
        return
    with pytest.raises(DataError, match="record '9' .* is no Datum"):
        batches(text, TRAIN, 1)


@pytest.mark.parametrize("kind", ["Data", "ImageData"])
def test_one_class_cannot_be_balanced(layer, kind):
    """A single class cannot be balanced, and the error says which one it is."""
    with pytest.raises(DataError, match=rf"'data' \({kind}\): balance_classes needs .* all 5 samples have the label 2"):
        batches(layer(kind, labels=[2] * 5), TRAIN, 1)


def test_several_labels_cannot_be_balanced(layer):
    """Samples with several labels cannot be balanced, and the error says so."""
    with pytest.raises(DataError, match="balance_classes needs one label for each sample, but here each has several"):
        batches(layer("ImageData", labels=["1 0", "0 1", "1 1"]), TRAIN, 1)
