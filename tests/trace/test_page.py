"""The page of a trace in a browser: a keyboard alone walks it, and what it shows are the numbers of its data."""

import copy
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from browser import browser, opened, overflowing

from minicaffe.pages import heat_map
from minicaffe.trace.page import SCRIPTS, trace_page

EXAMPLE = json.loads(Path(__file__).with_name("example.json").read_text(encoding="utf-8"))
LAYERS = {layer["name"]: i for i, layer in enumerate(EXAMPLE["layers"])}
# The colours that a reader sees: of each element with text of its own, the contrast to what is painted behind it.
CONTRAST = """() => {
  const channels = color => (color.match(/[\\d.]+/g) || []).map(Number);
  const bright = color => channels(color).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => { for (let p = e; p; p = p.parentElement) {
    const color = getComputedStyle(p).backgroundColor, parts = channels(color);
    if (parts.length === 3 || parts[3] > 0) return color; } return "rgb(255, 255, 255)"; };
  const faint = [];
  for (const e of document.body.querySelectorAll("*")) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest("svg, script, noscript, .hidden-visually") || e.disabled) continue;
    if (!e.getClientRects().length) continue;
    const [a, b] = [bright(getComputedStyle(e).color), bright(behind(e))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(`${e.className} "${e.textContent.trim().slice(0, 20)}" ${contrast.toFixed(2)}`);
  }
  return faint;
}"""
NAMELESS = """() => [...document.querySelectorAll("button, input, select, img, [role=group], svg[role=img], table")]
  .filter(e => !(e.getAttribute("aria-label") || e.alt || e.textContent.trim() || (e.labels && e.labels.length)))
  .map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture
def written(tmp_path):
    """Write a page and return its file."""
    def write(data=EXAMPLE):
        file = tmp_path / "page.html"
        file.write_text(trace_page(data), encoding="utf-8")
        return file
    return write


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def words(page):
    return page.inner_text("#words")


def shown(page, role, blob, kind):
    """The numbers that the left side shows of a blob, as its `title`s hold them exactly."""
    number = next(i for i, b in enumerate(EXAMPLE["blobs"]) if b["name"] == blob)
    cells = page.locator(f'.value[data-role="{role}"][data-blob="{number}"] .kind:has(h5.{kind}) .number')
    return [float(re.match(r"[^:]*", title)[0]) for title in (cells.nth(i).get_attribute("title")
                                                             for i in range(cells.count()))]


def with_several_updates(data):
    """The example with a second update, which begins where the first one ends."""
    data = copy.deepcopy(data)
    second = copy.deepcopy(data["moments"])
    for moment in second:
        moment["iteration"] = 1
        if moment["pass"] == "update":
            moment["update"]["w"] = 13
    data["moments"] += second
    return data


def planted():
    """The example with a diff that differs, one at a kink, and a layer that is to blame."""
    data = copy.deepcopy(EXAMPLE)
    moment = next(m for m in data["moments"] if m["pass"] == "backward" and m["layer"] == LAYERS["ip"])
    proof = next(p for p in moment["proofs"] if p["role"] == "param")
    proof.update(slopes=[3, 0.5], verdicts="dk", sides={"1": [0, 1]})
    moment["verdict"] = "differs"
    return data


def large(data):
    """The example with a weight of 100 numbers, of which the page holds a picture and 64."""
    data = copy.deepcopy(data)
    pixel = heat_map(np.ones((1, 1)))[0]
    data["places"] = {"100": list(range(0, 64))}
    data["arrays"].append({"shape": [4, 25], "whole": False, "values": [i / 8 for i in range(64)], "min": -2, "max": 9,
                           "mean": 1.5, "picture": pixel, "width": 1, "height": 1, "seen": "each row is a row"})
    data["blobs"][0]["shape"] = [4, 25]
    for value in (v for m in data["moments"] for v in m["values"] if v["blob"] == 0):
        value["data"] = len(data["arrays"]) - 1
    return data


def test_every_script_stands_in_the_page():
    """Every file that lies beside the page is a part of it, and the drawing stands in it once."""
    lies = Path(__file__).parents[2] / "minicaffe/trace/browser"
    text = trace_page(EXAMPLE)

    assert sorted(SCRIPTS) == sorted(path.name for path in lies.glob("*.js"))
    assert 1 == text.count("<svg xmlns")
    assert not re.search(r"\son\w+=", text.split('id="data"')[0])
    assert len(text) < 105_000


@pytest.mark.slow
class TestKeyboard:
    def test_walks_forward_backward_and_update(self, chromium, written):
        """The arrow keys alone reach every step, and the numbers on the way are the data's."""
        with opened(chromium, written()) as page:
            assert "nothing has run" in words(page)
            passes, seen = [], {}
            for _ in range(22):
                press(page, "ArrowRight")
                lit = page.locator("nav button[data-pass][aria-pressed=true]").inner_text()
                passes += [lit] if passes[-1:] != [lit] else []
                seen[words(page)] = page.evaluate("at")
            assert ["Forward", "Backward", "Update"] == passes
            assert 22 == page.evaluate("at")
            assert "InnerProduct ip, forward, line 16: out = -0.5, made from a, b." in seen
            assert page.locator("#next").is_disabled()
            press(page, "Home")
            assert "nothing has run" in words(page)

    def test_jumps(self, chromium, written):
        with opened(chromium, written()) as page:
            press(page, "b")
            assert words(page).startswith("EuclideanLoss loss, backward")
            press(page, "ArrowDown")
            assert "InnerProduct ip, backward" in words(page)
            press(page, "u")
            assert "SGD, update of ip w" in words(page)
            press(page, "p", "p")
            assert "InnerProduct ip, backward" in words(page)
            press(page, "f", "End", "ArrowLeft")
            assert "line 46" in words(page)

    def test_every_control_is_reached_by_tab(self, chromium, written):
        """Tab goes through all buttons and back out of the page: nothing holds it."""
        with opened(chromium, written()) as page:
            press(page, "b", "n", "ArrowRight")
            reached = set()
            for _ in range(60):
                press(page, "Tab")
                reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
            controls = page.locator("button[id]:enabled, select, input[id], .pane")
            wanted = controls.evaluate_all("all => all.map(e => e.id)")
            assert "BODY" in reached
            assert set(wanted) <= reached

    def test_help_opens_and_closes(self, chromium, written):
        with opened(chromium, written()) as page:
            press(page, "?")
            assert page.locator("#keys").is_visible()
            press(page, "Escape")
            assert page.locator("#keys").is_hidden()
            press(page, "ArrowRight")
            assert 1 == page.evaluate("at")

    def test_a_trace_without_a_solver(self, chromium, written):
        """Where nothing is updated, the page does not speak of it."""
        data = {**EXAMPLE, "solver": None, "moments": [m for m in EXAMPLE["moments"] if m["pass"] != "update"]}
        with opened(chromium, written(data)) as page:
            assert "error (backward). Press" in page.inner_text("#intro")
            assert page.locator("#update").is_disabled()
            press(page, "u", "End")
            assert words(page).startswith("Input data, backward")

    def test_a_link_to_a_step(self, chromium, written):
        with opened(chromium, written()) as page:
            page.evaluate("location.hash = '#step=8'")
            page.locator("#back:enabled").wait_for()
            assert "InnerProduct ip, forward, line 65: y = -0.5, made from x, w." in words(page)


@pytest.mark.slow
class TestNumbers:
    def test_data_diff_and_slope(self, chromium, written):
        """What a layer writes is there when it has written it, and its diffs stand beside their slopes."""
        with opened(chromium, written()) as page:
            press(page, "b", "n")
            assert [3, -1] == shown(page, "bottom", "x", "data")
            assert [0.5, 2] == shown(page, "param", "ip w", "data")
            assert [] == shown(page, "param", "ip w", "diff")
            assert "not computed yet" in page.inner_text("#left")
            press(page, *["ArrowRight"] * 7)
            assert [-3, 1] == shown(page, "param", "ip w", "diff")
            assert ["-3 ✓ agrees", "1 ✓ agrees"] == page.locator('[data-role="param"] .proof').all_text_contents()
            assert "dw += dyᵀ · x" == page.inner_text(".formulas li[aria-current]")
            assert "1" == page.locator(".layer.lit").get_attribute("data-layer")
            assert "kernels.matmul(dy.T" in page.inner_text(".line.now")

    def test_what_differs_is_marked_and_found(self, chromium, written):
        with opened(chromium, written(planted())) as page:
            page.locator("#to-wrong").click()
            assert "✗ 1 of 4 diffs differs, first in layer ip" == page.inner_text("#to-wrong")
            assert "InnerProduct ip, backward" in words(page)
            assert "is wrong" in words(page)
            proofs = page.locator('[data-role="param"] .proof')
            assert ["3 ✗ differs", "0 | 1 kink"] == proofs.all_text_contents()
            red, kink = (proofs.nth(i).evaluate("e => getComputedStyle(e).color") for i in (0, 1))
            assert red != kink
            assert 1 == page.locator("td.wrong").count()

    def test_products(self, chromium, written):
        """Enter on a number shows its products, and Esc goes back to the number."""
        with opened(chromium, written()) as page:
            press(page, "n", "n", *["ArrowRight"] * 6)
            page.locator("#left button.number").focus()
            press(page, "Enter")
            text = page.inner_text("#products")
            assert "y data[0, 0] = -0.5" in text
            rows = page.locator("#products tbody tr").all_inner_texts()
            assert [["w[0, 1]", "2", "x[0, 1]", "-1", "-2"], ["w[0, 0]", "0.5", "x[0, 0]", "3", "1.5"]] == \
                [row.split("\t") for row in rows]
            press(page, "Escape")
            assert page.locator("#products").is_hidden()
            assert "-0.5" == page.evaluate("document.activeElement.textContent")
            press(page, "Escape", "ArrowLeft")
            assert 7 == page.evaluate("at")

    def test_large_arrays(self, chromium, written):
        """Of a large array there are a picture with words for it, the extremes, and 64 places."""
        with opened(chromium, written(large(EXAMPLE))) as page:
            press(page, "n", "n")
            alt = page.locator("#left img").get_attribute("alt")
            assert alt == "Heat map of x data, 4 × 25: each row is a row; smallest -2, largest 9, mean 1.5"
            assert "pixelated" == page.locator("#left img").evaluate("e => getComputedStyle(e).imageRendering")
            assert ["-9", "9"] == page.locator(".legend span:not(.colours)").all_text_contents()
            rows = page.locator(".places tbody tr").all_inner_texts()
            assert (64, "[1, 4]\t3.625") == (len(rows), rows[29])


@pytest.mark.slow
class TestUpdate:
    def test_columns(self, chromium, written):
        """The step and the new weight appear when they are computed."""
        with opened(chromium, written()) as page:
            press(page, "u")
            row = page.locator(".updates tbody tr").first
            assert ["[0,0]", "0.5", "-3", "0", "0", "…", "0.1", "…", "…"] == row.inner_text().split("\t")
            press(page, "End")
            assert ["[0,0]", "0.5", "-3", "0", "0", "-0.3", "0.1", "-0.3", "0.8"] == row.inner_text().split("\t")

    def test_slider(self, chromium, written):
        """The slider goes through the updates, also by its own arrow keys, and the curve names its values."""
        with opened(chromium, written(with_several_updates(EXAMPLE))) as page:
            press(page, "u", "ArrowRight")
            assert words(page).startswith("Iteration 1 of 2.")
            page.locator("#iteration").focus()
            press(page, "ArrowRight")
            assert words(page).startswith("Iteration 2 of 2. SGD, update of ip w, line 46")
            assert "iteration" == page.evaluate("document.activeElement.id")
            said = page.locator(".chart svg").evaluate_all("all => all.map(e => e.getAttribute('aria-label'))")
            assert said == ["loss: 0.5 in iteration 1, 0.5 in iteration 2",
                            "ip w[0, 0]: 0.5 at first, 0.8 after update 1, 0.8 after update 2"]
            press(page, "Escape", ",")
            assert words(page).startswith("Iteration 1 of 2.")


@pytest.mark.slow
class TestPredict:
    def test_a_number_is_hidden_until_it_is_typed(self, chromium, written):
        with opened(chromium, written()) as page:
            press(page, "t", "n", "n", *["ArrowRight"] * 5)
            assert "out is hidden" in words(page)
            assert "-0.5" not in page.inner_text("#right") + page.inner_text("#left") + words(page)
            page.keyboard.type("7")
            press(page, "Enter")
            assert "not yet" in page.inner_text(".made.now")
            assert "Predicted: 0 right, 1 not yet, 0 shown." == page.inner_text("#score")
            press(page, "Control+a")
            page.keyboard.type("-1/2")
            press(page, "Enter")
            assert "Predicted: 1 right, 1 not yet, 0 shown." == page.inner_text("#score")
            assert "out = -0.5" in words(page)
            press(page, "ArrowRight")
            assert "y = -0.5" in words(page)  # the same number under another name is not asked for again
            assert [-0.5] == shown(page, "top", "y", "data")

    def test_a_layer_in_place_does_not_give_its_numbers_away(self, chromium, written):
        """Of a bottom that the layer writes over the page holds only the new numbers, which are hidden."""
        data = copy.deepcopy(EXAMPLE)
        moment = next(m for m in data["moments"] if m["layer"] == LAYERS["ip"])
        moment["values"][0].update(blob=2, data=5)
        with opened(chromium, written(data)) as page:
            press(page, "t", "n", "n", *["ArrowRight"] * 5)
            assert "-0.5" not in page.inner_text("#left") + page.inner_text("#right")
            press(page, "Escape", "r")
            assert [-0.5] == shown(page, "bottom", "y", "data")

    def test_a_key_shows_it(self, chromium, written):
        with opened(chromium, written()) as page:
            press(page, "t", "n", "n", *["ArrowRight"] * 5, "Escape", "r")
            assert "out = -0.5" in words(page)
            assert "Predicted: 0 right, 0 not yet, 1 shown." == page.inner_text("#score")

    def test_numbers_are_read_as_people_write_them(self, chromium, written):
        typed = ["0,5", " −1e-3 ", "1/4", "inf", "x", "1/2/3", ""]
        with opened(chromium, written()) as page:
            read = page.evaluate("texts => texts.map(text => readNumber(text))", typed)
        assert [0.5, -0.001, 0.25, math.inf, None, None, None] == read


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable_in_every_state(chromium, written, scheme):
    """Nothing is faint, without a name, or over the right edge, wherever one is."""
    with opened(chromium, written(large(with_several_updates(planted()))), scheme=scheme) as page:
        for keys in ([], ["n", "n", *["ArrowRight"] * 6], ["b", "n", "n", "ArrowLeft"], ["Tab"],
                     ["u", "n", "ArrowLeft"], ["t", "f", "n", "n", *["ArrowRight"] * 5]):
            press(page, *keys)
            assert ([], [], []) == (page.evaluate(CONTRAST), page.evaluate(NAMELESS), overflowing(page)), keys
        page.set_viewport_size({"width": 800, "height": 900})
        assert [] == overflowing(page)


@pytest.mark.slow
def test_the_theme_can_be_changed(chromium, written):
    with opened(chromium, written()) as page:
        colour = "getComputedStyle(document.body).backgroundColor"
        before = page.evaluate(colour)
        page.locator("#theme").click()
        assert before != page.evaluate(colour)
        page.locator("#theme").click()
        assert before == page.evaluate(colour)


@pytest.mark.slow
def test_play_runs_and_stops(chromium, written):
    with opened(chromium, written()) as page:
        press(page, " ")
        page.locator("#back:enabled").wait_for()  # the page's policy forbids wait_for_function, which needs eval
        assert "off" == page.locator("#words").get_attribute("aria-live")
        press(page, " ")
        assert "polite" == page.locator("#words").get_attribute("aria-live")
