"""Files of PyTorch's two exporters (tests/convert/torch_models/), read as nets and compared with onnxruntime."""

from pathlib import Path

import numpy as np
import pytest
from extras import needs
from onnx_models import assert_reads

from minicaffe.convert import onnx_package
from minicaffe.convert.onnx_in import reading
from minicaffe.convert.onnx_in.net import net_of, runnable

pytestmark = pytest.mark.slow  # hundreds of small conversions

MODELS = Path(__file__).parent / "torch_models"
OF_VERSION_1 = {"BatchNorm", "Concat", "Convolution", "Deconvolution", "Eltwise", "Flatten", "InnerProduct", "Pooling",
                "Power", "ReLU", "Scale", "Sigmoid", "Silence", "Slice", "Softmax"}
both_exporters = pytest.mark.parametrize("exporter", ["old", "dynamo"])


def load(name, exporter):
    needs("onnx.checker")
    return reading.load(str(MODELS / f"{name}.{exporter}.onnx"))


@both_exporters
@pytest.mark.parametrize("name", ["lenet", "residual", "inverted", "fire", "unet", "yolo"])
def test_file_of_torch(name, exporter):
    """The numbers are onnxruntime's, and the layers those that Caffe had from its first version on."""
    assert set(assert_reads(load(name, exporter), batch=2)) <= OF_VERSION_1


@both_exporters
@pytest.mark.parametrize("name", ["lenet", "residual", "yolo"])
def test_free_batch(name, exporter):
    """What was read for one sample runs for five."""
    needs("onnxruntime")
    model = load(name, exporter)
    net = runnable(net_of(model, reading.input_shapes(model, None, {})))
    image = np.random.default_rng(3).standard_normal((5, *net.blobs["image"].shape[1:])).astype(np.float32)
    net.blobs["image"].reshape(*image.shape)
    net.reshape()
    net.blobs["image"].data[...] = image
    net.forward()
    for output, theirs in onnx_package.run(model.SerializeToString(), {"image": image}).items():
        assert net.blobs[output].shape == theirs.shape
        assert np.abs(net.blobs[output].data - theirs).max() <= 1e-5 * np.abs(theirs).max()


@both_exporters
def test_dialect_is_asked_for(exporter):
    """Clip and Swish, which BVLC's Caffe got later, are written where the dialect is given, and there alone."""
    assert "Clip" in assert_reads(load("inverted", exporter), batch=2, dialect="bvlc")
    assert "Swish" in assert_reads(load("yolo", exporter), batch=2, dialect="bvlc")
