"""Layers for images as ONNX, compared with onnxruntime."""

from onnx_tools import assert_same, ops

IMAGES = "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 4 dim: 7 dim: 9 } } }"


def test_convolution():
    model = assert_same(IMAGES + """layer { name: 'c' type: 'Convolution' bottom: 'x' top: 'y' convolution_param {
      num_output: 6 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 0 group: 2 } }""")
    assert ops(model) == ["Conv"]
