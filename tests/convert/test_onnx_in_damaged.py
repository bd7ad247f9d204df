"""Damaged ONNX files end in one message or are read, and never in another error."""

import random
from contextlib import suppress

import pytest
from onnx_rounds import X, layer
from onnx_tools import exported

from minicaffe.convert.onnx_in import reading
from minicaffe.convert.onnx_in.net import net_of
from minicaffe.errors import MinicaffeError

NET = X + layer("ArgMax", "argmax_param { top_k: 3 }", tops="a", name="a") + layer(
    "SPP", "spp_param { pyramid_height: 2 }")


def damaged(content, draw):
    """The bytes with a few of them changed, removed or added."""
    bad = bytearray(content)
    for _ in range(draw.choice([1, 2, 4, 8])):
        at = draw.randrange(len(bad))
        bad[at:at + draw.randrange(3)] = bytes(draw.randrange(256) for _ in range(draw.randrange(3)))
    return bytes(bad)


def test_damaged_models(tmp_path):
    content, path = exported(NET)[1].SerializeToString(), tmp_path / "model.onnx"
    for case in range(60):
        path.write_bytes(damaged(content, random.Random(case)))
        with suppress(MinicaffeError):
            model = reading.load(str(path))
            net_of(model, reading.input_shapes(model, None, {}))


def test_a_name_that_is_no_text(tmp_path):
    content = exported(X + layer("TanH", name="wrong"))[1].SerializeToString()
    (tmp_path / "model.onnx").write_bytes(content.replace(b"wrong", b"wro\xffg"))
    with pytest.raises(MinicaffeError, match=r"damaged|no ONNX model that can be read"):
        reading.load(str(tmp_path / "model.onnx"))
