"""transform_param, against loops that spell Caffe's rule out."""

import os

import numpy as np
import pytest

from minicaffe import kernels
from minicaffe.data.transformer import Transformer, read_mean
from minicaffe.errors import DataError, LayerError
from minicaffe.io.binary import array_to_blob
from minicaffe.proto import TEST, TRAIN, BlobProto, TransformationParameter
from minicaffe.rng import SampleDraws

OWNER = "layer 'd' (Data)"


def images(shape=(3, 9, 7), count=4, seed=2):
    """A few random uint8 images of one shape."""
    return list(np.random.default_rng(seed).integers(256, size=(count, *shape), dtype=np.uint8))


def transform(batch, phase=TRAIN, dtype=np.float32, seed=8, **param):
    """The batch after transform_param, and the Transformer."""
    transformer = Transformer(TransformationParameter(**param), phase, OWNER)
    names = [f"image {i}" for i in range(len(batch))]
    out = np.empty((len(batch), *transformer.shape(batch[0], names[0])), dtype)
    transformer.apply(batch, names, out, SampleDraws(seed, [0] * len(batch), range(len(batch))))
    return out


def naive(image, mean, scale, top, left, height, width, mirror, dtype):
    """(x − mean) · scale, number by number."""
    y = np.empty((len(image), height, width), dtype)
    for c in range(len(image)):
        for h in range(height):
            for w in range(width):
                x = dtype(image[c, top + h, left + w])
                m = dtype(mean[c, top + h, left + w])
                y[c, h, width - 1 - w if mirror else w] = (x - m) * dtype(np.float32(scale))
    return y


def test_scale_alone():
    """Without a mean each value is multiplied by scale, exactly as in float32 arithmetic."""
    batch = images()

    out = transform(batch, scale=0.00390625)

    assert (out == np.array(batch, np.float32) * np.float32(0.00390625)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["none", "one value", "value a channel", "file"])
def test_centre_crop_and_mean(tmp_path, kind, dtype):
    """In TEST the crop is central, rounded down, and the mean is taken where the crop lies."""
    batch = images()
    mean = {"none": 0, "one value": 100.5, "value a channel": np.array([104.25, 117, 123]).reshape(3, 1, 1),
            "file": np.random.default_rng(1).uniform(90, 160, (3, 9, 7)).astype(np.float32)}[kind]
    param = {"one value": {"mean_value": [100.5]}, "value a channel": {"mean_value": [104.25, 117, 123]},
             "file": {"mean_file": str(tmp_path / "mean.binaryproto")}}.get(kind, {})
    if kind == "file":
        (tmp_path / "mean.binaryproto").write_bytes(array_to_blob(mean[None]).SerializeToString())

    out = transform(batch, TEST, dtype, scale=0.017, crop_size=4, **param)

    full = np.broadcast_to(mean, (3, 9, 7))
    expected = [naive(x, full, 0.017, 2, 1, 4, 4, False, dtype) for x in batch]
    assert out.dtype == dtype
    assert (out == np.array(expected)).all()


def test_random_crop_and_mirror(tmp_path):
    """In TRAIN each image is one of all crops, mirrored or not, its mean moving along; all of them occur."""
    mean = np.random.default_rng(1).uniform(90, 160, (2, 6, 5)).astype(np.float32)
    (tmp_path / "mean").write_bytes(array_to_blob(mean).SerializeToString())
    batch = images((2, 6, 5), count=300)

    out = transform(batch, TRAIN, crop_size=4, mirror=True, scale=0.5, mean_file=str(tmp_path / "mean"))

    seen = set()
    for x, y in zip(batch, out, strict=True):
        fits = [(top, left, mirror) for top in range(3) for left in range(2) for mirror in (False, True)
                if (naive(x, mean, 0.5, top, left, 4, 4, mirror, np.float32) == y).all()]
        assert len(fits) == 1
        seen.update(fits)
    assert len(seen) == 3 * 2 * 2


def test_mirror_in_test_phase():
    """Mirroring is random in TEST as well, and a mean value is untouched by it."""
    batch = images(count=60)

    out = transform(batch, TEST, mirror=True, mean_value=[3])

    plain = np.array(batch, np.float32) - 3
    mirrored = [not (y == x).all() for x, y in zip(plain, out, strict=True)]
    assert 10 < sum(mirrored) < 50
    assert all((y == x[:, :, ::-1]).all() for x, y, m in zip(plain, out, mirrored, strict=True) if m)


def test_crop_makes_sizes_equal():
    """Images of several sizes fit one batch when they are cropped."""
    batch = [*images((3, 9, 7), 1), *images((3, 5, 11), 1)]

    out = transform(batch, TEST, crop_size=4)

    assert (out[0] == batch[0][:, 2:6, 1:5]).all()
    assert (out[1] == batch[1][:, 0:4, 3:7]).all()


def test_float_images():
    """Images that are float already keep their fractions."""
    batch = [np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 4, 3)]

    assert (transform(batch, scale=2) == batch[0] * 2).all()


@pytest.mark.parametrize(("param", "message"), [
    ({"crop_size": 8}, r"crop_size 8 is larger than the image image 0, 9 high and 7 wide"),
    ({"mean_value": [1, 2]}, r"mean_value is given 2 times, but image 0 has 3 channels"),
    ({"mean_value": [1], "mean_file": "m"}, r"mean_file and mean_value cannot both be given"),
    ({"mean_file": "m"}, r"mean_file holds a mean of shape \(3, 9, 5\), but image 0 is \(3, 9, 7\)"),
    ({"force_color": True, "force_gray": True}, r"force_color and force_gray cannot both be set"),
])
def test_errors(tmp_path, monkeypatch, param, message):
    """A crop or a mean that does not fit is refused with the layer, the field and both sizes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").write_bytes(array_to_blob(np.zeros((1, 3, 9, 5), np.float32)).SerializeToString())

    with pytest.raises(LayerError, match=rf"^layer 'd' \(Data\): transform_param: {message}"):
        transform(images(), **param)


def test_mixed_sizes_are_named():
    """The image that differs from the first of its batch is named, with both shapes."""
    with pytest.raises(LayerError, match=r"image 1 comes out as \(3, 5, 4\), image 0 as \(3, 9, 7\)"):
        transform([*images(count=1), *images((3, 5, 4), 1)])


def test_damaged_mean_file(tmp_path):
    """A mean file that is missing, none, or of another dimension is a DataError with its path."""
    bad = tmp_path / "bad"
    with pytest.raises(DataError, match=r"cannot read the mean file .*bad"):
        transform(images(), mean_file=str(bad))
    bad.write_bytes(b"\xff\xff\xff")
    with pytest.raises(DataError, match="bad is no mean file"):
        transform(images(), mean_file=str(bad))
    bad.write_bytes(BlobProto(shape={"dim": [2**62, 0, 3]}).SerializeToString())
    with pytest.raises(DataError, match=r"bad is no mean file: .* 4611686018427387904 x 0 x 3 is larger than any"):
        transform(images(), mean_file=str(bad))
    bad.write_bytes(array_to_blob(np.zeros((2, 3, 9, 7), np.float32)).SerializeToString())
    with pytest.raises(DataError, match=r"a blob of shape \(2, 3, 9, 7\)"):
        transform(images(), mean_file=str(bad))


@pytest.mark.parametrize("engine", kernels.available_engines())
@pytest.mark.parametrize("param", [
    {}, {"scale": 0.3, "mirror": True}, {"mean_value": [7, 90, 31], "mirror": True, "crop_size": 5},
    {"mean_file": "mean", "mirror": True, "crop_size": 4, "scale": 0.7}, {"mean_file": "mean", "mirror": True},
])
def test_what_the_kernel_is_to_do(param, engine, monkeypatch, tmp_path):
    """The kernel gives the bits of `apply`, on every engine, for images in one array and for those of a list."""
    monkeypatch.chdir(tmp_path)
    kernels.use_engine(engine)
    mean = np.random.default_rng(1).normal(size=(1, 3, 9, 7)).astype(np.float32)
    (tmp_path / "mean").write_bytes(array_to_blob(mean).SerializeToString())
    batch = images(count=11)
    expected = transform(batch, **param)
    out = np.empty_like(expected)
    for given in (batch, np.array(batch)):
        crops = Transformer(TransformationParameter(**param), TRAIN, OWNER).crops(
            given, SampleDraws(8, [0] * 11, range(11)))
        kernels.crop_and_scale(given, *crops, out)
        assert (out == expected).all()
        out[...] = 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "\0"])
def test_a_mean_file_that_never_answers(name, tmp_path):
    """A pipe that nobody writes to and a device without an end are refused, and not waited for."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="cannot read the mean file"):
        read_mean(str(tmp_path / name))
