"""Batches of records: raw Datums that are read and transformed together, any order, and records that are bad."""

import copy
import random
import sys

import numpy as np
import pytest

from minicaffe import kernels, rng
from minicaffe.blob import Blob
from minicaffe.data.batches import Batches, DatumSamples, Stack
from minicaffe.data.datum import Layout, make, parse
from minicaffe.data.lmdb import LmdbSource, write_lmdb
from minicaffe.data.transformer import Transformer
from minicaffe.errors import DataError, LayerError
from minicaffe.io import image
from minicaffe.io.binary import array_to_blob
from minicaffe.io.wire import put_tag
from minicaffe.layers.data.data import DataLayer
from minicaffe.proto import TEST, TRAIN, Datum, TransformationParameter

IMAGES = np.random.default_rng(5).integers(256, size=(23, 3, 7, 9), dtype=np.uint8)


def raw(i):
    return make(IMAGES[i], 100 * i).SerializeToString()


@pytest.fixture
def path(tmp_path):
    """An LMDB of 23 raw records."""
    write_lmdb(tmp_path / "db", [(f"{i:03d}", raw(i)) for i in range(23)])
    return str(tmp_path / "db")


def batches_of(path, batch_size=5, phase=TRAIN, dtype=np.float32, transform=None, **more):
    transformer = Transformer(TransformationParameter(**transform or {}), phase, "layer 'd' (Data)")
    return Batches(DatumSamples(LmdbSource(path)), transformer, batch_size, dtype=dtype, **more)


def seen(batch):
    """The images of a batch as the net gets them."""
    if batch.crops is None:
        return batch.data
    out = np.empty(batch.shape, batch.label.dtype)
    kernels.crop_and_scale(batch.data, *batch.crops, out)
    return out


# --- the layout of raw records ---------------------------------------------------------------------


def test_images_and_labels_of_many_records():
    """The labels take one byte, two, five (2³¹ − 1) and ten (−1), and one is not there at all."""
    labels = [0, 1, 127, 128, 2**31 - 1, -1]
    values = [make(IMAGES[i], label).SerializeToString() for i, label in enumerate(labels)]
    values.append(Datum(channels=3, height=7, width=9, data=IMAGES[6].tobytes()).SerializeToString())
    images, found = Layout().images(values)

    assert (images == IMAGES[:7]).all()
    assert [*labels, 0] == found


@pytest.mark.parametrize("other", [
    make(IMAGES[1, :, :, :8], 1).SerializeToString(),  # another width
    make(IMAGES[1].transpose(0, 2, 1).copy(), 1).SerializeToString(),  # as many pixels in another shape
    make(IMAGES[1].astype(np.float32), 1).SerializeToString(),
    raw(1) + Datum(encoded=True).SerializeToString(),
    raw(1) + Datum(data=b"another image").SerializeToString(),  # the last one counts
    raw(1) + Datum(height=9, width=7).SerializeToString(),
    raw(1) + Datum(float_data=[1, 2]).SerializeToString(),
    raw(1) + put_tag(9, 2, 50),  # a field that is cut short
    raw(1)[:100], raw(1)[:9], raw(1)[:3], b"", b"\xff" * 300,
])
@pytest.mark.parametrize("first", [0, 3])
def test_a_record_that_is_unlike_the_others(first, other):
    """A record that differs in more than pixels and label is not read together with others, wherever it stands."""
    values = [raw(i) for i in range(4)]
    values[first:first] = [other]
    layout = Layout()

    assert layout.images(values) is None
    images, labels = layout.images([raw(5), raw(6)])
    assert (images == IMAGES[5:7]).all()
    assert [500, 600] == labels


def test_bytes_that_look_like_the_beginning_of_the_pixels():
    """The pixels are found by reading the fields, not by looking for them."""
    pixels = np.full((1, 1, 2), 8, np.uint8)  # the first byte of a Datum is 8
    values = [Datum(channels=1, height=1, width=2, data=pixels.tobytes(), label=8).SerializeToString()] * 3
    images, labels = Layout().images(values)

    assert (images == pixels).all()
    assert [8] * 3 == labels


def test_random_records_are_what_protobuf_says():
    """Whatever fields a record has, in whatever order, the images and labels are those of `parse` or none."""
    draw = random.Random(4)
    parts = [Datum(channels=3), Datum(height=7), Datum(width=9), Datum(label=3), Datum(label=300), Datum(encoded=False),
             Datum(data=IMAGES[0].tobytes()), Datum(data=b"x"), Datum(height=1), Datum(encoded=True)]
    read = 0
    for _ in range(3000):
        pieces = [part.SerializeToString() for part in draw.sample(parts[:7], 7) + draw.choices(parts, k=2)]
        values = [b"".join(draw.sample(pieces, len(pieces)) if draw.random() < 0.3 else pieces)
                  for _ in range(draw.choice([1, 2, 3]))]
        if (found := Layout().images(values)) is not None:
            read += 1
            for pixels, label, value in zip(*found, values, strict=True):
                expected = parse(value, "x")
                assert (pixels == expected[0]).all()
                assert (label, False) == expected[1:]
    assert read > 50


# --- the transformer -------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", [
    {}, {"scale": 1 / 256}, {"mean_value": [120.5]}, {"mean_value": [104, 117, 123], "scale": 0.017},
    {"mirror": True}, {"crop_size": 4}, {"crop_size": 5, "mirror": True, "scale": 0.3},
    {"crop_size": 4, "mirror": True, "mean_value": [3.3]}, {"mean_file": "m", "crop_size": 6, "mirror": True},
    {"mean_file": "m", "scale": 0.7},
])
@pytest.mark.parametrize("phase", [TRAIN, TEST])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_that_are_transformed_together(transform, phase, dtype, path, tmp_path):
    """The bits are those of images that are transformed one by one, over several epochs."""
    if "mean_file" in transform:
        mean = np.random.default_rng(1).random((1, 3, 7, 9), np.float32) * 255
        (tmp_path / "mean").write_bytes(array_to_blob(mean).SerializeToString())
        transform = {**transform, "mean_file": str(tmp_path / "mean")}
    together, single = (batches_of(path, phase=phase, dtype=dtype, transform=transform, seed=7) for _ in range(2))
    single.transformer.only_crops = False
    for _ in range(11):
        a, b = together(), single()
        assert b.data.dtype == dtype
        assert isinstance(a.data, np.ndarray) or together.cursor == 5  # the first batch is read image by image
        assert (seen(a) == b.data).all()
        assert (a.label == b.label).all()
        assert (a.keys, a.cursor, a.restarts) == (b.keys, b.cursor, b.restarts)


def test_raw_records_do_come_together(path, monkeypatch):
    """From the second batch on no image of raw records is transformed alone."""
    batches = batches_of(path)
    batches()
    monkeypatch.setattr(Transformer, "apply", None)

    assert (IMAGES[5:10] == seen(batches())).all()
    assert isinstance(batches.samples.load([3, 1]), Stack)


def test_a_field_of_our_own_goes_image_by_image():
    """With a field of our own the images go one by one, because the kernel does not know it."""
    assert Transformer(TransformationParameter(crop_size=3), TRAIN, "layer").only_crops
    assert not Transformer(TransformationParameter(rotate=5), TRAIN, "layer").only_crops


def test_grey_among_colour(tmp_path):
    """Grey and coloured images in one batch are an error, and the hint names the field that helps."""
    write_lmdb(tmp_path / "db", [(str(i), Datum(data=image.encode(IMAGES[i, :1 if i == 2 else 3]), encoded=True))
                                 for i in range(4)])
    with pytest.raises(LayerError, match=r"record '2' of [^\n]*\(1, 7, 9\)[^\n]*\n  hint: set force_color: true"):
        batches_of(str(tmp_path / "db"), 4)()


def layer_on(path, transform=None, **param):
    """A Data layer that has been set up, with its tops."""
    layer = DataLayer(phase=TRAIN, transform_param=transform or {},
                      data_param={"source": str(path), "backend": "LMDB", "batch_size": 4, **param})
    top = [Blob((), np.float32), Blob((), np.float32)]
    layer.SetUp([], top)
    return layer, top


def test_force_encoded_color(tmp_path):
    """The older name of force_color gives grey images three channels; beside force_gray it is an error."""
    write_lmdb(tmp_path / "db", [(str(i), Datum(data=image.encode(IMAGES[i, :1]), encoded=True)) for i in range(4)])
    layer, top = layer_on(tmp_path / "db", force_encoded_color=True)
    layer.Forward([], top)

    assert (np.repeat(IMAGES[:4, :1], 3, axis=1) == top[0].data).all()
    with pytest.raises(LayerError, match=r"force_encoded_color cannot be set beside transform_param\.force_gray"):
        layer_on(tmp_path / "db", {"force_gray": True}, force_encoded_color=True)


def test_a_shuffled_layer_that_goes_on(path):
    """The state of a layer holds the seed of its order: another layer that takes it over reads the same records."""
    rng.seed(1)
    first, top = layer_on(path, shuffle=True)
    for _ in range(4):
        first.Forward([], top)
    state = first.resume_state()
    rng.seed(2)
    second, other = layer_on(path, shuffle=True)
    second.resume_from(state)
    for _ in range(6):
        first.Forward([], top)
        second.Forward([], other)
        assert first.keys == second.keys
        assert (top[0].data == other[0].data).all()
    assert first.keys != sorted(first.keys)


# --- any order -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [50, 3000, 70_000])
def test_records_by_their_numbers(size, tmp_path):
    """Records come in whatever order they are asked for, with values in the leaves and on pages of their own."""
    records = [(f"{i:04d}".encode(), bytes([i % 251]) * size) for i in range(2_000_000 // size // 4)]
    write_lmdb(tmp_path / "db", records)
    found, last = LmdbSource(tmp_path / "db"), len(records) - 1
    numbers = random.Random(1).choices(range(len(records)), k=60)

    for asked in (numbers, [], [0], [1], [last], [last, 0, 1], [2, 3], [3, 2], numbers[:1] * 2, range(last)):
        assert [records[number] for number in asked] == found.take(asked)
    assert [records[number] for number in numbers] == copy.deepcopy(found).take(numbers)
    assert records[last - 1:] == list(found.records(last - 1))


def test_shuffled_epochs(path):
    """Each epoch has each record once, in an order that follows from the seed and the epoch."""
    first, second, resumed = batches_of(path, shuffle=3), batches_of(path, shuffle=3), batches_of(path, shuffle=3)
    keys = [key for _ in range(14) for key in first().keys]
    resumed.seek(30)

    assert sorted(keys[:23]) == sorted(keys[23:46]) == [f"{i:03d}" for i in range(23)]
    assert keys[:23] != keys[23:46]
    assert keys == [key for _ in range(14) for key in second().keys]
    assert keys[30:] == [key for _ in range(8) for key in resumed().keys]


def test_a_database_that_changes_while_it_is_shuffled(path, tmp_path):
    """A file that changes between two reads of single records is an error."""
    found = LmdbSource(path)
    found.take([5, 3])
    write_lmdb(tmp_path / "other", [(f"{i:03d}", raw(22 - i)) for i in range(23)])
    with open(f"{path}/data.mdb", "r+b") as stream:
        stream.write((tmp_path / "other" / "data.mdb").read_bytes())
    with pytest.raises(DataError, match="this file is being written"):
        found.take([7, 2])


# --- records that are bad --------------------------------------------------------------------------


BAD = {2: b"\xff\xff", 6: b"no Datum", 7: raw(7)[:50], 22: Datum(data=b"\xff\xd8 no JPEG", encoded=True)}


def test_bad_records_are_left_out(tmp_path, caplog):
    """With skip_bad the next good records fill the batch; each bad one is named once, by its key."""
    write_lmdb(tmp_path / "db", [(f"{i:03d}", BAD.get(i, raw(i))) for i in range(23)])
    path = str(tmp_path / "db")
    with pytest.raises(DataError, match=r"record '002' of .*db is no Datum \(2 bytes\)"):
        batches_of(path)()
    batches = batches_of(path, skip_bad=True)
    found = [batches() for _ in range(8)]
    good = [i for i in range(23) if i not in BAD]

    assert (good * 3)[:40] == [int(key) for batch in found for key in batch.keys]
    assert all((seen(batch) == IMAGES[[int(key) for key in batch.keys]]).all() for batch in found)
    assert sorted(BAD) == sorted(batches.left_out)
    assert 1 == caplog.text.count("left out: record '006'")
    assert 2 == sum(batch.restarts for batch in found)


def test_only_bad_records(tmp_path):
    """Where no record can be read there is an error, not a search without end."""
    write_lmdb(tmp_path / "db", [(str(i), b"\xff" * i) for i in range(1, 5)])
    with pytest.raises(DataError, match="all 4 samples were left out"):
        batches_of(str(tmp_path / "db"), skip_bad=True)()


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", [None, 1])
def test_memory_over_many_batches(shuffle, path):
    """Ten thousand batches leave nothing behind."""
    resource = pytest.importorskip("resource")
    batches = batches_of(path, transform={"crop_size": 4, "mirror": True}, shuffle=shuffle)
    for _ in range(1000):
        batches()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(10_000):
        batches()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # kB, on macOS bytes

    assert grown < (2_000_000 if sys.platform == "darwin" else 2000)
