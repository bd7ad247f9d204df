"""The products beside a number: their sum is the number, whatever group, pad, dilation, stride and transpose are."""

import numpy as np
import pytest
from net_tools import inputs, layer, make

from minicaffe.trace import session

FILLED = 'weight_filler { type: "gaussian" std: 0.5 } bias_filler { type: "uniform" min: 1 max: 2 }'
LAYERS = {
    "inner": (2, 3, 4, 1), "transposed": (2, 3, 4, 1), "conv": (2, 4, 7, 6), "one axis": (2, 3, 9),
    "max": (2, 3, 7, 6), "ave": (2, 3, 7, 6), "stochastic": (2, 3, 7, 6)}
DEFINITIONS = {
    "inner": ("InnerProduct", "inner_product_param { num_output: 5 " + FILLED + "}"),
    "transposed": ("InnerProduct", "inner_product_param { num_output: 5 transpose: true " + FILLED + "}"),
    "conv": ("Convolution", "convolution_param { num_output: 6 group: 2 kernel_h: 3 kernel_w: 2 pad_h: 2 pad_w: 1 "
             "stride_h: 2 stride_w: 3 dilation: 2 " + FILLED + "}"),
    "one axis": ("Convolution", "convolution_param { num_output: 2 kernel_size: 4 pad: 2 stride: 3 " + FILLED + "}"),
    "max": ("Pooling", "pooling_param { pool: MAX kernel_h: 3 kernel_w: 2 stride: 2 pad: 1 }"),
    "ave": ("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad_h: 2 pad_w: 1 }"),
    "stochastic": ("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 3 stride: 2 }")}


def traced(kind):
    """The page's data of a net with one layer, whose input has a gradient too."""
    type_, parameters = DEFINITIONS[kind]
    text = "force_backward: true " + inputs(x=LAYERS[kind]) + layer(type_, "x", "y", parameters) + \
        layer("Reduction", "y", "loss", "loss_weight: 1 reduction_param { operation: SUMSQ }")
    net = make(text, dtype=np.float32)
    net.blobs["x"].data[...] = np.abs(np.random.default_rng(3).standard_normal(LAYERS[kind]))
    return net, session.of_net(net, proofs=0)


def checked(data):
    """Check that each number that the page shows is the sum of its products; return which arrays have some."""
    seen = set()
    for moment in data["moments"]:
        for product in moment["products"]:
            array = data["arrays"][product["array"]]
            shown = data["places"].get(str(np.prod(array["shape"], dtype=int)), range(len(array["values"])))
            largest = max(abs(value) for value in array["values"])
            for flat, value in zip(shown, array["values"], strict=True):
                entry = product["entries"][str(flat)]
                assert entry["sum"] == pytest.approx(value, abs=2e-6 * largest)
                if "chosen" in entry:
                    assert entry["terms"][entry["chosen"]][1] == value
                else:
                    sums = [a * b for _, a, _, b in entry["terms"]] + [entry.get("rest", [0, 0])[1]] + \
                        [v for _, v in entry.get("plus", [])]
                    assert sum(sums) == pytest.approx(value, abs=2e-6 * largest)
            seen.add((data["blobs"][product["blob"]]["name"], product["of"]))
    return seen


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_the_sum_of_the_products_is_the_number(kind):
    _, data = traced(kind)
    expected = {("y", "data"), ("x", "diff")}
    if DEFINITIONS[kind][0] != "Pooling":
        expected |= {("y w", "diff"), ("y b", "diff")}
    assert checked(data) == expected


def test_relu_and_the_loss():
    """A slope on the negative side, a loss_weight and two losses a sample are all in the factors."""
    text = "force_backward: true " + inputs(x=(2, 4, 3), t=(2, 3)) + \
        layer("ReLU", "x", "y", "relu_param { negative_slope: 0.25 }") + \
        layer("SoftmaxWithLoss", "y t", "loss", "loss_weight: 3")
    net = make(text, dtype=np.float32)
    net.blobs["x"].data[...] = np.random.default_rng(3).standard_normal((2, 4, 3))
    net.blobs["t"].data[...] = [[0, 3, 1], [2, 2, 0]]
    data = session.of_net(net)
    assert checked(data) == {("x", "diff"), ("y", "diff")}
    loss, relu = (m["products"][0] for m in data["moments"] if m["pass"] == "backward" and m["products"])
    assert {0.5} == {term[3] for entry in loss["entries"].values() for term in entry["terms"]}
    assert {1, 0.25} == {term[3] for entry in relu["entries"].values() for term in entry["terms"]}
    assert 6 == sum("plus" in entry for entry in loss["entries"].values())
    assert "λ / Z = 3 / 6" in loss["note"]


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_each_factor_is_the_number_that_stands_at_its_index(kind):
    net, data = traced(kind)
    arrays = {"x": net.blobs["x"].data, "dy": net.blobs["y"].diff,
              **({"w": net.layers[1].blobs[0].data} if net.layers[1].blobs else {})}
    for moment in data["moments"]:
        for product in moment["products"]:
            for entry in product["entries"].values():
                for left, a, right, b in entry["terms"]:
                    assert np.float32(a) == arrays[product["left"]["name"]].reshape(-1)[left]
                    if right is not None:
                        assert np.float32(b) == arrays[product["right"]["name"]].reshape(-1)[right]
