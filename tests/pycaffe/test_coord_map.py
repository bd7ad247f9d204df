"""Maps between the coordinates of tops, followed by hand, and the Crop layers that follow from them."""

import numpy as np
import pytest

from minicaffe.pycaffe import NetSpec
from minicaffe.pycaffe import layers as L  # noqa: N812  (as scripts call it)
from minicaffe.pycaffe.coord_map import (
    AxisMismatchException,
    UndefinedMapException,
    compose,
    conv_params,
    coord_map,
    coord_map_from_to,
    crop,
    crop_params,
    inverse,
)


def image():
    return L.Input(shape=dict(dim=[2, 3, 60, 70]))


def upscaled(pad=0, stride=2, grow=2):
    """The data and the last top of a net that makes an image smaller and larger again."""
    data = image()
    conv = L.ReLU(L.Convolution(data, kernel_size=3, pad=pad, num_output=4))
    small = L.Pooling(conv, kernel_size=stride, stride=stride)
    return data, L.Deconvolution(small, convolution_param=dict(num_output=4, kernel_size=2 * grow, stride=grow, pad=1))


def same(map_, axis, scale, shift):
    """Whether a map is this one, to rounding."""
    return map_[0] == axis and np.allclose(map_[1], scale) and np.allclose(map_[2], shift)


class TestOneLayer:
    def test_a_convolution(self):
        """Kernel 3, stride 2, pad 1: output 0 is centred on input 0, and two inputs are one output."""
        assert same(coord_map(L.Convolution(image(), kernel_size=3, stride=2, pad=1).fn), 1, 0.5, 0)

    def test_dilation_and_axes(self):
        """A kernel of 3 with dilation 2 covers 5; each axis has its own numbers."""
        fn = L.Convolution(image(), kernel_size=[3, 4], dilation=[2, 1], stride=[1, 2], axis=2).fn

        assert [list(numbers) for numbers in conv_params(fn)[1:]] == [[1, 2], [5, 4], [0]]
        assert same(coord_map(fn), 2, [1, 0.5], [-2, -0.75])

    def test_pooling_without_padding(self):
        """Of two inputs that become one output, the middle lies between them."""
        assert same(coord_map(L.Pooling(image(), pooling_param=dict(kernel_size=2, stride=2)).fn), 1, 0.5, -0.25)

    def test_a_deconvolution_is_the_inverse_of_a_convolution(self):
        """With the same numbers, each map undoes the other."""
        numbers = dict(kernel_size=4, stride=2, pad=1)
        there = coord_map(L.Convolution(image(), **numbers).fn)
        back = coord_map(L.Deconvolution(image(), convolution_param=numbers).fn)

        assert same(back, 1, 2, 0.5)
        assert same(inverse(there), *back)
        assert same(compose(back, there), 1, 1, 0)

    def test_crop_and_elementwise(self):
        """A Crop shifts by its offset; a ReLU changes nothing."""
        fn = L.Crop(image(), image(), crop_param=dict(axis=2, offset=[4, 5])).fn

        assert crop_params(L.Crop(image(), image()).fn) == (2, np.zeros(1))
        assert same(coord_map(fn), 1, 1, [-4, -5])
        assert coord_map(L.ReLU(image()).fn) == (None, 1, 0)

    def test_what_has_no_map(self):
        """Layers that mix all places have no map, and global pooling has none."""
        with pytest.raises(UndefinedMapException, match="the type InnerProduct has no map of coordinates$"):
            coord_map(L.InnerProduct(image(), num_output=3).fn)
        with pytest.raises(UndefinedMapException, match="Pooling has no map of coordinates without kernel_size"):
            coord_map(L.Pooling(image(), global_pooling=True).fn)
        with pytest.raises(AssertionError, match="does not support kernel_h, kernel_w"):
            coord_map(L.Convolution(image(), kernel_h=3, kernel_w=5).fn)


class TestCompose:
    def test_the_first_map_applies_to_the_result_of_the_second(self):
        """x -> 2 (3 x + 5) + 7 is x -> 6 x + 17."""
        assert compose((1, 2, 7), (None, 3, 5)) == (1, 6, 17)
        assert inverse((1, 2, 7)) == (1, 0.5, -3.5)

    def test_axes_must_agree(self):
        """Maps that begin at different axes cannot follow each other."""
        with pytest.raises(AxisMismatchException, match="begins at axis 1, the other at axis 2"):
            compose((1, 2, 7), (2, 3, 5))


class TestFromTo:
    def test_down_and_up_again(self):
        """Two 3x3 borders are lost, so place 0 of the enlarged top is place 1 of the data."""
        data, up = upscaled()

        assert same(coord_map_from_to(up, data), 1, 1, 1)
        assert same(coord_map_from_to(data, up), 1, 1, -1)

    def test_by_way_of_a_common_ancestor(self):
        """Neither top is made from the other, so the map goes through the data."""
        data, up = upscaled()
        skip = L.Convolution(data, kernel_size=1, stride=2)

        assert same(coord_map_from_to(skip, up), 1, 2, -1)

    def test_the_second_bottom_of_a_crop_is_no_way(self):
        """A Crop's second bottom gives a size alone."""
        data, other = image(), image()
        cropped = L.Crop(data, other, offset=3)

        assert same(coord_map_from_to(data, cropped), 1, 1, -3)
        with pytest.raises(RuntimeError, match="no map from the Crop to the Input"):
            coord_map_from_to(cropped, other)

    def test_what_is_not_connected(self):
        """No map goes through an InnerProduct."""
        data, up = upscaled()

        with pytest.raises(RuntimeError, match="no map from the InnerProduct to the Input: spatial layers do not"):
            coord_map_from_to(L.InnerProduct(up, num_output=2), data)


class TestCrop:
    def test_the_offset_follows(self):
        """The score of a padded net is cropped back onto the data."""
        data, up = upscaled(pad=10)
        n = NetSpec()
        n.data, n.up, n.score = data, up, crop(up, data)
        layer = n.to_proto().layer[-1]

        assert (layer.type, list(layer.bottom), layer.crop_param.axis) == ("Crop", ["up", "data"], 2)
        assert list(layer.crop_param.offset) == [9]

    def test_tops_that_lie_on_each_other(self):
        """Without a shift, the spatial axes are cropped by 0."""
        data = image()

        assert crop(L.ReLU(data), data).fn.params == {"crop_param": {"axis": 2, "offset": [0]}}

    def test_what_no_crop_can_do(self):
        """Other scales, negative offsets and half places are AssertionErrors, as in pycaffe."""
        data, up = upscaled(grow=3)
        with pytest.raises(AssertionError, match="scale mismatch"):
            crop(up, data)
        data, up = upscaled()
        with pytest.raises(AssertionError, match=r"negative offset: \[-1\.\]"):
            crop(up, data)
        with pytest.raises(AssertionError, match=r"no whole number: \[0\.5\]"):
            crop(L.Convolution(data, kernel_size=2, pad=1), data)
