"""From a gradient of a weight one gets back to the loss, layer by layer, and each number on the way is the net's."""

from itertools import pairwise

import numpy as np
import pytest
from browser import browser, opened
from net_tools import TRAINABLE, inputs, layer, make

from minicaffe import rng
from minicaffe.trace import session
from minicaffe.trace.page import trace_page

WAY = {"conv": ["conv", "relu", "pool", "ip", "loss"], "ip": ["ip", "loss"]}


@pytest.fixture(scope="module")
def data():
    rng.seed(3)
    return session.of_net(make(TRAINABLE, dtype=np.float32))


def walk(data, moment, product):
    """The (layer, entry) from a followed number to where the way ends, and the value that the last one names."""
    flat, found = product["follow"], []
    while product:
        entry = product["entries"][str(flat)]
        found.append((data["layers"][moment["layer"]]["name"], entry))
        side = "left" if product["left"]["name"] == "dy" else "right"
        if not product[side] or product[side]["name"] != "dy":
            return found
        flat, blob = entry["terms"][0][0 if side == "left" else 2], product[side]["blob"]
        earlier = [(m, p) for m in data["moments"][:data["moments"].index(moment)] if m["pass"] == "backward"
                   for p in m["products"] if (p["blob"], p["role"]) == (blob, "bottom")]
        moment, product = earlier[-1] if earlier else (moment, None)
    return found


def test_each_param_leads_to_the_loss(data):
    """At each layer the number is the factor that the layer before has named, and the whole net agrees with it."""
    seen = {}
    for moment in data["moments"]:
        for product in moment["products"]:
            if product["role"] != "param":
                assert "follow" not in product
                continue
            name = data["layers"][moment["layer"]]["name"]
            waypoints = walk(data, moment, product)
            seen[data["blobs"][product["blob"]]["name"]] = [layer for layer, _ in waypoints]
            assert [layer for layer, _ in waypoints] == WAY[name]
            for (_, entry), (_, above) in pairwise(waypoints):
                assert any(value == pytest.approx(above["sum"], rel=1e-5) for value in (entry["terms"][0][1],
                                                                                       entry["terms"][0][3]))
            assert {entry.get("proof", "a")[0] for _, entry in waypoints} == {"a"}
    assert set(seen) == {"conv w", "conv b", "ip w", "ip b"}


def test_a_way_ends_where_no_products_are_known():
    text = inputs(x=(2, 3)) + layer("InnerProduct", "x", "h", "inner_product_param { num_output: 5 "
                                    'weight_filler { type: "xavier" } }') + \
        layer("TanH", "h", "y") + layer("Reduction", "y", "loss", "loss_weight: 1")
    net = make(text, dtype=np.float32)
    net.blobs["x"].data[...] = 1
    data = session.of_net(net, proofs=0)
    moment = next(m for m in data["moments"] if m["pass"] == "backward" and m["layer"] == 1)
    assert ["h"] == [layer for layer, _ in walk(data, moment, moment["products"][0])]


@pytest.mark.slow
def test_the_page_leads_to_the_loss(data, tmp_path):
    """The keyboard alone goes from the gradient of the first filter to the loss, and back to any number on the way."""
    file = tmp_path / "page.html"
    file.write_text(trace_page(data), encoding="utf-8")
    with browser() as chromium, opened(chromium, file) as page:
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        assert page.inner_text("#words").startswith("Convolution conv, backward")
        page.locator('[data-role="param"] .follow').first.press("Enter")
        for name in WAY["conv"][1:]:
            page.locator("#products .terms button", has_text="dy").first.press("Enter")
            assert name in page.inner_text("#products .trail [aria-current]").split(":")[0]
            assert f" {name}, backward" in page.inner_text("#words")
            assert "agrees ✓" in page.inner_text("#products .agrees")
        assert "λ / Z = 1 / 16" in page.inner_text("#products")
        page.locator("#products .trail button").nth(1).press("Enter")
        assert " relu, backward" in page.inner_text("#words")
        page.keyboard.press("Escape")
        assert page.locator("#products").is_hidden()
