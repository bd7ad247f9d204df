"""How an image is prepared for a net, against the formula and against the Transformer of a data layer."""

import numpy as np
import pytest
from extras import needs

from minicaffe.cli.preprocessing import apply_flags, as_flags, from_comment, no_flags
from minicaffe.data.preprocess import Preprocessing, check_mean, of_layer
from minicaffe.data.transformer import Transformer
from minicaffe.errors import DataError, MinicaffeError, NetError
from minicaffe.proto import TEST, LayerParameter, TransformationParameter
from minicaffe.proto import text as proto_text
from minicaffe.rng import SampleDraws

PIXELS = np.random.default_rng(2).integers(0, 256, (3, 7, 9)).astype(np.uint8)  # blue, green, red


def test_the_formula():
    """y = (x − mean) · scale on the middle, with the channels in the order red, green, blue."""
    param = TransformationParameter(scale=0.25, crop_size=5)
    made = Preprocessing(param, mean=np.float32([1, 2, 3]), order=(0, 1, 2))([PIXELS], ["x"])

    middle = PIXELS[::-1, 1:6, 2:7].astype(np.float32)
    np.testing.assert_array_equal((middle - np.float32([1, 2, 3]).reshape(3, 1, 1)) * np.float32(0.25), made[0])


@pytest.mark.parametrize("text", ["", "scale: 0.017", "mean_value: 104 mean_value: 117 mean_value: 123",
                                  "mean_value: 5 crop_size: 4 scale: 3"])
def test_the_same_bits_as_a_data_layers_transformer(text):
    """A batch is what the Transformer makes at TEST."""
    param = proto_text.parse(text, TransformationParameter())
    transformer = Transformer(param, TEST, "layer")
    images = [PIXELS, PIXELS[:, ::-1]]
    want = np.empty((2, *transformer.shape(PIXELS, "x")), np.float32)
    transformer.apply(images, ["x", "y"], want, SampleDraws(0, [0, 0], [0, 1]))

    np.testing.assert_array_equal(want, Preprocessing(param)(images, ["x", "y"]))


def test_a_mean_image_and_no_mirror():
    """A mean array stands for mean_file; an image is never mirrored."""
    mean = np.random.default_rng(3).random((3, 7, 9)).astype(np.float32)
    made = Preprocessing(TransformationParameter(mirror=True), mean=mean)

    for _ in range(3):
        np.testing.assert_array_equal(PIXELS - mean, made([PIXELS] * 4, list("abcd"))[3])


def test_resized_as_image_data_does():
    """The size is that of the images before the crop."""
    needs("cv2")
    from minicaffe.io import image

    made = Preprocessing(TransformationParameter(crop_size=4), size=(6, 8))([PIXELS], ["x"])

    np.testing.assert_array_equal(image.resize(PIXELS, (6, 8))[:, 1:5, 2:6], made[0])


def test_what_a_layer_says():
    """new_height, is_color and transform_param of a data layer become flags and a comment, and come back from it."""
    layer = proto_text.parse('type: "ImageData" image_data_param { new_height: 6 new_width: 8 is_color: false } '
                             'transform_param { scale: 0.0078125 mean_value: 127.5 crop_size: 5 }', LayerParameter())
    made = of_layer(layer)

    assert "--gray --resize 6x8 --mean 127.5 --scale 0.0078125 --crop 5" == as_flags(made)
    again = apply_flags(Preprocessing(), from_comment(f"# a net\n# preprocessing: {as_flags(made)}\nname: 'x'"))
    np.testing.assert_array_equal(made.transformer.mean_value, again.transformer.mean_value)
    assert (made.size, made.color, made.transform.scale, made.transform.crop_size) == \
        (again.size, again.color, again.transform.scale, again.transform.crop_size)
    assert from_comment("# another comment\n") is None


def test_no_flags_change_nothing():
    """Without flags an image is prepared as the net says."""
    base = Preprocessing(TransformationParameter(scale=3, crop_size=2), size=(5, 6), color=False)

    assert str(base) == str(apply_flags(base, no_flags()))
    assert "grey; resized to 5×6; times 3; the middle 2×2 of it" == str(base)


def test_the_shorter_side():
    """resize_shorter takes the place of a fixed size, in a layer and as a flag."""
    layer = proto_text.parse('type: "Data" transform_param { resize_shorter: 9 crop_size: 5 }', LayerParameter())
    flags = as_flags(of_layer(layer))
    again = apply_flags(Preprocessing(size=(3, 4)), from_comment(f"# preprocessing: {flags}"))

    assert "--resize-shorter 9 --crop 5" == flags
    assert (None, 9) == (again.size, again.transform.resize_shorter)
    assert "shorter side resized to 9; the middle 5×5 of it" in str(again)


@pytest.mark.parametrize(("array", "shape"), [(np.ones((1, 3, 1, 1)), (3,)), (np.ones((3, 4, 5)), (3, 4, 5)),
                                              (np.ones((1, 3, 4, 5)), (3, 4, 5)), (np.ones(2), (2,))])
def test_means(array, shape):
    """A mean may have any of these shapes."""
    assert shape == check_mean(array, "m").shape


def test_errors():
    """An array that is no mean, an unknown flag and a mean that does not fit are errors."""
    with pytest.raises(DataError, match=r"m holds an array of shape \(3, 4\), but a mean is \(C,\) or \(C, H, W\)"):
        check_mean(np.ones((3, 4)), "m")
    with pytest.raises(DataError, match="m holds NaN or infinity"):
        check_mean(np.array([104, np.inf, 123]), "m")
    with pytest.raises(NetError, match="the comment 'preprocessing:' holds '--grey'"):
        from_comment("# preprocessing: --grey\n")
    with pytest.raises(MinicaffeError, match=r"the preprocessing: .*mean_value is given 2 times, but x has 3 channels"):
        Preprocessing(mean=np.float32([1, 2]))([PIXELS], ["x"])
