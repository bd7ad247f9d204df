"""Our own fields of transform_param, against their formulas and against what each of them must leave alone."""

import numpy as np
import pytest
from extras import needs
from net_tools import layer

from minicaffe.data.augment import coloured, resized, shorter_to, warped
from minicaffe.data.transformer import Transformer
from minicaffe.errors import LayerError
from minicaffe.proto import TEST, TRAIN, LayerParameter, TransformationParameter
from minicaffe.proto import text as proto_text
from minicaffe.rng import SampleDraws

EVERYTHING = {"rotate": 20, "zoom": 0.2, "brightness": 0.3, "contrast": 0.4, "saturation": 0.5, "erase": 0.5}


def images(shape=(3, 9, 7), count=4, seed=2):
    return list(np.random.default_rng(seed).integers(256, size=(count, *shape), dtype=np.uint8))


def transform(batch, phase=TRAIN, draws=None, **param):
    """The batch after transform_param."""
    transformer = Transformer(TransformationParameter(**param), phase, "layer 'd' (Data)")
    names = [f"image {i}" for i in range(len(batch))]
    out = np.empty((len(batch), *transformer.shape(batch[0], names[0])), np.float32)
    transformer.apply(batch, names, out, draws or SampleDraws(8, [0] * len(batch), range(len(batch))))
    return out


def ramp(shape=(2, 41, 31), right=3.0, down=2.0):
    """An image whose values rise evenly to the right and downwards."""
    rows, columns = np.mgrid[:shape[1], :shape[2]]
    return np.stack([c + right * columns + down * rows for c in range(shape[0])]).astype(np.float32)


# --- one change at a time -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "shorter", "expected"), [
    ((3, 20, 10), 5, (3, 10, 5)), ((3, 10, 20), 15, (3, 15, 30)), ((1, 7, 9), 7, (1, 7, 9)), ((1, 7, 9), 0, (1, 7, 9)),
    ((3, 480, 641), 256, (3, 256, 342)), ((3, 1, 1000), 3, (3, 3, 3000))])
def test_the_shorter_side_gets_its_size(shape, shorter, expected):
    """The other side keeps the proportion, rounded to whole pixels."""
    assert expected == shorter_to(shape, shorter)


@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_resize_shorter_comes_first_in_both_phases(phase):
    """The image is resized, as `io.image.resize` does it, and then cropped; crop_size may exceed the former size."""
    needs("cv2")
    from minicaffe.io import image

    batch = images((3, 9, 7))
    out = transform(batch, phase, resize_shorter=14, crop_size=14, scale=0.5)

    bigger = [image.resize(x, (18, 14)) for x in batch]
    assert all(x.shape == (3, 18, 14) for x in bigger)
    for x, y in zip(bigger, out, strict=True):
        crops = [x[:, top:top + 14] * np.float32(0.5) for top in ([2] if phase == TEST else range(5))]
        assert any(np.array_equal(crop, y) for crop in crops)
    np.testing.assert_array_equal(bigger[0], resized(batch[0], 14))


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_a_quarter_turn_is_exact(channels):
    """90 degrees turn the image to the left, each pixel to its place, whatever the number of channels."""
    needs("cv2")
    image = images((channels, 9, 9), 1)[0]

    np.testing.assert_array_equal(np.rot90(image, axes=(1, 2)), warped(image, 90, 1))
    np.testing.assert_array_equal(image, warped(image, 0, 1))


@pytest.mark.parametrize(("angle", "zoom"), [(0, 1.5), (0, 0.8), (25, 1), (-10, 1.3), (180, 1)])
def test_turning_and_zooming_follow_the_formula(angle, zoom):
    """On values that rise evenly, interpolation is exact: each pixel has the value of the place it comes from."""
    needs("cv2")
    right, down, (H, W) = 3.0, 2.0, (41, 31)
    found = warped(ramp(right=right, down=down), angle, zoom)
    rows, columns = np.mgrid[:H, :W]
    dy, dx = (rows - (H - 1) / 2) / zoom, (columns - (W - 1) / 2) / zoom
    a = np.radians(angle)
    x, y = (W - 1) / 2 + dx * np.cos(a) - dy * np.sin(a), (H - 1) / 2 + dx * np.sin(a) + dy * np.cos(a)
    inside = (x > 0) & (x < W - 1) & (y > 0) & (y < H - 1)

    assert inside.mean() > 0.5
    for c in range(2):  # OpenCV rounds places to 1/32 pixel
        np.testing.assert_allclose(found[c][inside], (c + right * x + down * y)[inside], atol=(right + down) / 32)


def test_beyond_the_border_the_image_is_reflected():
    """Made half as large, a row shows its own mirror image on both sides."""
    needs("cv2")
    row = np.arange(9, dtype=np.float32).reshape(1, 1, 9)

    np.testing.assert_allclose(warped(row, 0, 0.5)[0, 0], [4, 2, 0, 2, 4, 6, 8, 6, 4])


def test_colours_follow_their_formulas():
    """Brightness, contrast and saturation one after the other, in float64 loops."""
    x = images((3, 4, 5), 1)[0]
    found = coloured(x, 1.2, 0.7, 1.5)
    bright = x.astype(np.float64) * 1.2
    m = bright.mean()
    contrasted = m + (bright - m) * 0.7
    for h in range(4):
        for w in range(5):
            b, g, r = contrasted[:, h, w]
            grey = 0.114 * b + 0.587 * g + 0.299 * r
            np.testing.assert_allclose(found[:, h, w], grey + 1.5 * (np.array([b, g, r]) - grey), rtol=1e-4)
    np.testing.assert_array_equal(x, coloured(x, 1, 1, 1))


@pytest.mark.parametrize("mean", [True, False])
def test_erase_covers_a_rectangle_with_the_mean(mean):
    """About the given share of images has one rectangle of the mean, never larger than erase_area."""
    batch = [np.full((2, 40, 30), 200, np.uint8) for _ in range(400)]
    for x in batch:
        x[0, 0, 0] = 100
    out = transform(batch, erase=0.25, erase_area=0.3, **({"mean_value": [150]} if mean else {}))
    plain = transform(batch, **({"mean_value": [150]} if mean else {}))
    changed = [(out[n, 1] != plain[n, 1]) | (out[n, 0] != plain[n, 0]) for n in range(400)]
    hit = [n for n in range(400) if changed[n].any()]

    assert abs(len(hit) / 400 - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 400)
    sizes = []
    for n in hit:
        rows, columns = np.flatnonzero(changed[n].any(1)), np.flatnonzero(changed[n].any(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        sizes.append(height * width)
        value = 0 if mean else plain[n].mean(axis=(1, 2))[0]
        np.testing.assert_allclose(out[n, 0, rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1], value, rtol=1e-5)
    assert 0 < max(sizes) <= 0.3 * 1200
    assert max(sizes) > 0.2 * 1200
    assert len(set(sizes)) > 10


# --- as a whole -----------------------------------------------------------------------------------------------------


def test_in_test_nothing_is_drawn():
    """In TEST all but resize_shorter has no effect."""
    batch = images((3, 9, 7))

    np.testing.assert_array_equal(transform(batch, TEST, **EVERYTHING), transform(batch, TEST))


@pytest.mark.parametrize("field", ["rotate", "zoom", "brightness", "contrast", "saturation"])
def test_each_field_changes_images_in_training(field):
    """Each image is changed in its own way, which has its middle at the image itself."""
    if field in ("rotate", "zoom"):
        needs("cv2")
    batch = [ramp((3, 16, 12))] * 200
    out = transform(batch, **{field: EVERYTHING[field]})

    assert 150 < len({y.tobytes() for y in out})  # OpenCV rounds places, so two turns may be one
    away = [np.abs(y - batch[0]).mean() for y in out]
    assert min(away) < 0.2 * max(away)


def test_what_is_drawn_follows_from_the_sample():
    """The order of samples and the size of a batch change no image, and another epoch changes all of them."""
    needs("cv2")
    batch, fields = images((3, 16, 12), 6), {**EVERYTHING, "crop_size": 10, "mirror": True}
    whole = transform(batch, draws=SampleDraws(3, [4] * 6, range(6)), **fields)
    turned = transform(batch[::-1], draws=SampleDraws(3, [4] * 6, range(5, -1, -1)), **fields)
    alone = transform(batch[2:3], draws=SampleDraws(3, [4], [2]), **fields)
    next_time = transform(batch, draws=SampleDraws(3, [5] * 6, range(6)), **fields)

    np.testing.assert_array_equal(whole, turned[::-1])
    np.testing.assert_array_equal(whole[2], alone[0])
    assert all((whole[n] != next_time[n]).any() for n in range(6))


def test_the_order_is_warp_colours_crop_scale_erase():
    """All fields together are the parts one after the other, with the numbers that a sample draws."""
    needs("cv2")
    batch = images((3, 16, 12), 5)
    draws = SampleDraws(8, [0] * 5, range(5))
    fields = {field: value for field, value in EVERYTHING.items() if field != "erase"}
    found = transform(batch, crop_size=10, mirror=True, mean_value=[100], scale=0.1, **fields)
    u = {field: 2 * draws.unit(field) - 1 for field in fields}
    tops, lefts, flips = draws.below(7, "top"), draws.below(3, "left"), draws.below(2, "mirror")
    for n in range(5):
        x = warped(batch[n], u["rotate"][n] * 20, 1 + u["zoom"][n] * np.float32(0.2))
        x = coloured(x, *(1 + u[field][n] * np.float32(fields[field])
                          for field in ("brightness", "contrast", "saturation")))
        x = x[:, tops[n]:tops[n] + 10, lefts[n]:lefts[n] + 10]
        x = x[:, :, ::-1] if flips[n] else x
        np.testing.assert_allclose(found[n], (x - 100) * np.float32(0.1), atol=1e-4)


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fields", "words"), [
    ({"rotate": 181}, "rotate must be from 0 to 180, got 181"), ({"rotate": -1}, "rotate must be"),
    ({"zoom": 0.95}, "zoom must be from 0 to 0.9"), ({"brightness": 1.5}, "brightness must be from 0 to 1"),
    ({"contrast": 2}, "contrast must be"), ({"saturation": -0.5}, "saturation must be"),
    ({"erase": 30}, "erase must be from 0 to 1, got 30"),
    ({"erase": 1, "erase_area": 1.5}, "erase_area must be from 0"),
    ({"erase": 1, "erase_area": 0}, "erase_area must be above 0")])
@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_a_value_out_of_bounds_names_its_field(fields, words, phase):
    """A field that is out of bounds is a LayerError, in both phases."""
    with pytest.raises(LayerError, match=rf"layer 'd' \(Data\): transform_param: {words}"):
        transform(images(), phase, **fields)


def test_saturation_needs_colours():
    """saturation refuses an image with one channel, by its name."""
    with pytest.raises(LayerError, match="saturation needs images of 3 channels.*image 0 has 1"):
        transform(images((1, 9, 7)), saturation=0.5)


def test_an_area_without_erase_is_warned_of(caplog):
    """erase_area without erase is warned of, because it changes nothing."""
    transform(images(), erase_area=0.3)

    assert ["layer 'd' (Data): transform_param.erase_area has no effect: erase is 0"] == caplog.messages


@pytest.mark.parametrize("field", ["resize_shorter: 9", "rotate: 5", "zoom: 0.1", "brightness: 0.1", "contrast: 0.1",
                                   "saturation: 0.1", "erase: 0.1", "erase_area: 0.1"])
def test_window_data_refuses_them(field):
    """Windows are cut in another way, so a field that would have no effect is an error that names it."""
    from minicaffe.layer import create

    text = layer("WindowData", "", "y label", 'window_data_param { source: "no file" batch_size: 2 } '
                 f"transform_param {{ crop_size: 4 {field} }}")
    param = proto_text.parse(text.strip().removeprefix("layer {").removesuffix("}"), LayerParameter())
    with pytest.raises(LayerError, match=rf"\(WindowData\): transform_param.{field.split(':')[0]} must not be set"):
        create(param).SetUp([], [object(), object()])
