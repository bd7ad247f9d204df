"""Replay what BVLC Caffe computed: every output and gradient of every recorded case."""

from pathlib import Path

import numpy as np
import pytest

from minicaffe import Net
from minicaffe.proto import NetParameter, Phase
from minicaffe.proto import text as proto_text

FOLDER = Path(__file__).parent / "oracle"
RELATIVE, ABSOLUTE = 1e-5, 1e-5  # of a number, and of the largest number of its blob (at least 1)


def recorded(path):
    """variant -> field -> blob -> array, from one file of vectors."""
    cases = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            variant, field, *blob = key.split("|")
            cases.setdefault(variant, {}).setdefault(field, {})["|".join(blob)] = arrays[key]
    return cases


def layer_cases():
    for path in sorted((FOLDER / "layers").glob("*.npz")):
        yield from (pytest.param(case, id=f"{path.stem}-{name}") for name, case in recorded(path).items())


def assert_agree(want, got, what):
    assert want.size == got.size, f"{what}: {got.shape}, not {want.shape}"
    got = got.reshape(want.shape)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(finite, np.isfinite(got), err_msg=what)
    scale = max(1.0, np.abs(want[finite]).max(initial=0))
    np.testing.assert_allclose(got[finite], want[finite], rtol=RELATIVE, atol=ABSOLUTE * scale, err_msg=what)


def learned(net, key):
    layer, index = key.rsplit("/", 1)
    return net.params[layer][int(index)]


@pytest.mark.filterwarnings("ignore::UserWarning")  # some cases use deprecated fields, which are warned of
@pytest.mark.parametrize("case", list(layer_cases()))
def test_layers_compute_what_caffe_computed(case):
    """One forward and one backward pass give Caffe's numbers."""
    definition = proto_text.parse(str(case["prototxt"][""]), NetParameter())
    net = Net(definition, Phase.Value(str(case["phase"][""])))
    for name, values in case.get("in", {}).items():
        net.blobs[name].data[...] = values
    for key, values in case.get("param", {}).items():
        learned(net, key).data[...] = values
    net.forward()
    for name, values in case["out"].items():
        assert_agree(values, net.blobs[name].data, f"output {name}")
    for key, values in case.get("after", {}).items():
        assert_agree(values, learned(net, key).data, f"blob {key} after forward")
    if "bottomdiff" not in case and "paramdiff" not in case:
        return
    for name, values in case.get("topdiff", {}).items():
        net.blobs[name].diff[...] = values
    for key in case.get("param", {}):
        learned(net, key).diff[...] = 0
    net.backward()
    for name, values in case.get("bottomdiff", {}).items():
        assert_agree(values, net.blobs[name].diff, f"gradient of {name}")
    for key, values in case.get("paramdiff", {}).items():
        assert_agree(values, learned(net, key).diff, f"gradient of blob {key}")
