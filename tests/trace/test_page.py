"""The page of a trace in a browser: a keyboard alone walks it, and what it shows are the numbers of its data."""

import copy
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from browser import browser, opened, overflowing
from net_tools import fully_connected, inputs, layer
from traced import TWO_LAYERS, net_of

from minicaffe import kernels
from minicaffe.io import prototxt
from minicaffe.layers.common.inner_product import InnerProductLayer
from minicaffe.pages import heat_map
from minicaffe.proto import NetParameter, SolverParameter
from minicaffe.solvers import get_solver
from minicaffe.trace import session
from minicaffe.trace.page import SCRIPTS, trace_page

EXAMPLE = json.loads(Path(__file__).with_name("example.json").read_text(encoding="utf-8"))
OUT_OF_PLACE = inputs(x=(2, 3), t=(2, 4)) + fully_connected("x", "h", 5) + layer("ReLU", "h", "r") + \
    fully_connected("r", "y", 4) + layer("EuclideanLoss", "y t", "loss")
LAYERS = {entry["name"]: i for i, entry in enumerate(EXAMPLE["layers"])}
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


# At each stop in predict mode: what of the hidden numbers can be read anywhere in the page, in any of its short forms.
LEAKS = """() => {
  const found = [], forms = number => [String(number), short(number), short(number, 4), short(number, 3)];
  const telling = text => text.replace(/[-.0]|e.*$/g, "").length >= 4;
  const look = () => {
    const hidden = new Set(), open = new Set();
    trace.arrays.forEach((array, i) => {
      const all = [...array.values, array.min, array.max, array.mean].filter(number => typeof number === "number");
      all.flatMap(forms).forEach(text => (isHidden(trace, stop(), i) ? hidden : open).add(text));
    });
    const page = document.body.cloneNode(true);
    page.querySelectorAll("script, style, svg:not(.chart svg), .code .line").forEach(part => part.remove());
    for (const word of new Set(page.innerHTML.match(/-?\\d+\\.?\\d*(?:e-?\\d+)?/g))) {
      if (hidden.has(word) && !open.has(word) && telling(word)) found.push([at, word]);
    }
  };
  togglePredict();
  // all of the first iteration, and of the second the updates of one layer, with their curves
  const looked = ({ moment }) => moment.iteration === 0 || moment.pass === "update" && moment.layer === 2;
  for (const { index, moment } of stops.slice(1).filter(looked)) {
    go(index);
    look();
    if (!(index % 2 || moment.pass === "update") || !asksFor(trace, stop()).length) continue;
    showAnswers(trace, stop());
    redraw("shown");
    look();
  }
  return found;
}"""


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


def small_training():
    """A solver for the net of two layers."""
    parameters = SolverParameter(base_lr=0.1, momentum=0.9, lr_policy="fixed", max_iter=2)
    parameters.net_param.CopyFrom(prototxt.parse(TWO_LAYERS, NetParameter()))
    solver = get_solver(parameters)
    for name in ("x", "t"):
        data = solver.net.blobs[name].data
        data[...] = np.sin(np.arange(1, data.size + 1)).reshape(data.shape)
    return solver


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
    names = [name for script in SCRIPTS
             for name in re.findall(r"^(?:function|const|let) (\w+)", (lies / script).read_text(), re.MULTILINE)]
    assert len(names) == len(set(names))  # the scripts of a page share their names
    assert 1 == text.count("<svg xmlns")
    assert not re.search(r"\son\w+=", text.split('id="data"')[0])
    assert len(text) < 118_000


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
            press(page, "e")
            page.wait_for_url("**#step=18")  # the address follows a moment later
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

    @pytest.mark.parametrize(("side", "covered"), [("left", "right"), ("right", "left")])
    def test_products_hide_nothing(self, chromium, written, side, covered):
        """The panel leaves the running line in sight, and what it covers can be scrolled up from under it."""
        with opened(chromium, written(), height=640) as page:
            press(page, "n", "n", *["ArrowRight"] * 6)
            page.locator(f"#{side} button.number").first.focus()
            press(page, "Enter")
            panel = page.locator("#products").bounding_box()
            line = page.locator(".line.now").bounding_box()
            assert side == "right" or line["y"] + line["height"] <= panel["y"]
            page.evaluate(f"document.getElementById('{covered}').scrollTop = 1e6")
            last = page.locator(f"#{covered} > div").last.bounding_box()
            assert last["y"] + last["height"] <= panel["y"]
            press(page, "ArrowLeft")
            assert page.locator("#products").is_hidden()
            assert "" == page.evaluate(f"document.getElementById('{covered}').style.paddingBottom")

    def test_a_wide_table_is_not_cut(self, chromium, written):
        """Under a line of code, long numbers stand in fewer columns than short ones, so that all can be seen."""
        wide = """values => {
          const trace = { arrays: [{ shape: [1, 8], values }] }, box = document.querySelector(".made.now");
          box.replaceChildren(wholeView(trace, stop(), { number: 0, name: "x", product: null, proof: null }));
          const view = box.querySelector(".matrices");
          return [view.querySelector("table tr:last-child").cells.length, view.scrollWidth > view.clientWidth];
        }"""
        with opened(chromium, written()) as page:
            press(page, "n", "n", *["ArrowRight"] * 6)
            assert [6, False] == page.evaluate(wide, [0.5] * 8)
            assert [5, False] == page.evaluate(wide, [-0.065017] * 8)
            assert [4, False] == page.evaluate(wide, [-0.0065017] * 7 + [-0.00065017])

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
class TestReads:
    def test_what_a_line_reads_and_makes(self, chromium, written):
        """The numbers that go in stand under the line with their place in the net, and are framed on the left."""
        with opened(chromium, written()) as page:
            press(page, "n", "n", *["ArrowRight"] * 5)
            assert "reads a (x data) = [[3, -1]] b (ip w data) = [[0.5], [2]] makes out = -0.5" == \
                " ".join(page.inner_text(".made.now").split())
            roles = "all => all.map(e => e.closest('.value').dataset.role)"
            assert ["bottom", "param"] == page.locator(".kind.read").evaluate_all(roles)
            assert ["top"] == page.locator(".kind.made-now").evaluate_all(roles)

    def test_a_question_in_the_code_is_answered(self, chromium, written):
        with opened(chromium, written()) as page:
            press(page, "n", "n", *["ArrowRight"] * 4)
            assert words(page).endswith("line 13: if add: that is not so, and the lines below it are left out.")

    def test_which_names_a_statement_reads(self, chromium, written):
        """Not what it only assigns to, nor a keyword, a text or a shape; and all lines of a statement count."""
        wanted = {"y = x + 1": ["x"], "y += x": ["y", "x"], "for y in x:": ["x"], "z = f(x.shape, y=y)": ["y"],
                  "z = g(\n    x,  # the y\n)": ["x"], 'z = h("x", y.T)': ["y"], "x[...] = y == 0": ["y"]}
        data = copy.deepcopy(EXAMPLE)
        data["sources"] = [{"name": "f", "path": "f.py", "first": 1, "lines": ["def f(x, y):", ""]}]
        data["steps"] = [{"source": 0, "line": 1, "depth": 0, "formula": None, "new": [["x", 0, ""], ["y", 1, ""]]},
                         {"source": 0, "line": 2, "depth": 0, "formula": None, "new": []}]
        data["moments"] = [{**data["moments"][0], "first": 0, "count": 2}]
        with opened(chromium, written(data)) as page:
            press(page, "End")
            read = page.evaluate("""codes => codes.map(code => {
              trace.sources[0].lines = ["def f(x, y):", ...code.split("\\n")];
              return readBy(trace, stop()).map(entry => entry.name);
            })""", list(wanted))
        assert wanted == dict(zip(wanted, read, strict=True))

    def test_numbers_lead_to_the_layer_that_made_them(self, chromium, written):
        """By the keyboard: Enter on the link goes there, and the browser's way back leads here again."""
        with opened(chromium, written()) as page:
            press(page, "b", "n", "ArrowRight")
            here = page.evaluate("at")
            link = page.locator('[data-role="top"] h5.diff .maker')
            assert "made by loss, step" in link.inner_text()
            link.focus()
            press(page, "Enter")
            assert words(page).startswith("EuclideanLoss loss, backward")
            page.go_back()
            page.locator("#position-words", has_text=f"Step {here} of").wait_for()


@pytest.mark.slow
class TestRealNet:
    def test_the_page_shows_the_numbers_of_the_net(self, chromium, written):
        """At the end of each layer's pass all numbers on the left are, bit for bit, those of a net that runs alone."""
        text = "force_backward: true " + OUT_OF_PLACE  # so that no diff is overwritten by another layer
        data = session.of_net(net_of(text), proofs=0)
        engine = kernels.engine()
        kernels.use_engine("plain")
        again = net_of(text)
        again.clear_param_diffs()
        again.forward_pass()
        again.backward_pass()
        kernels.use_engine(engine)
        wanted = {blob.diff.tobytes() for blobs in (*again.bottoms, *(made.blobs for made in again.layers))
                  for blob in blobs}
        with opened(chromium, written(data)) as page:
            read = page.evaluate("""() => trace.moments.filter(m => m.pass === "backward").flatMap(moment => {
              go(moment.end);
              return [...byId("layer-view").querySelectorAll(".value:not([data-role=top]) .kind:has(h5.diff)")]
                .map(kind => [...kind.querySelectorAll(".number")].map(number => number.title.split(":")[0]));
            })""")
        found = {np.array([float(text) for text in texts], np.float32).tobytes() for texts in read if texts}
        assert len(found) == 9  # of two weights, two biases and five bottoms
        assert found <= wanted

    def test_a_wrong_backward_is_red_in_its_own_layer(self, chromium, written, monkeypatch):
        """The button leads to the layer with the mistake; of all layers it alone says that it is wrong."""
        right = InnerProductLayer.backward

        def wrong(self, top, propagate_down, bottom):
            right(self, top, propagate_down, bottom)
            if self.name == "y":
                np.negative(self.blobs[0].diff, out=self.blobs[0].diff)

        monkeypatch.setattr(InnerProductLayer, "backward", wrong)
        data = session.of_net(net_of(TWO_LAYERS), proofs=8)
        differ = sum(proof["verdicts"].count("d") for moment in data["moments"] for proof in moment["proofs"])
        with opened(chromium, written(data)) as page:
            assert "first in layer y" in page.inner_text("#to-wrong")
            page.locator("#to-wrong").click()
            assert "y: InnerProduct, backward" == page.inner_text(".layer-title")
            assert differ == page.locator('[data-role="param"] td.wrong').count() > 3
            colour = page.locator("td.wrong .differs").first.evaluate("e => getComputedStyle(e).color")
            assert colour == "rgb(179, 38, 30)"
            red = page.evaluate("""() => trace.moments.filter(moment => {
              go(moment.end);
              return document.querySelector("main .wrong");
            }).map(moment => trace.layers[moment.layer].name)""")
            assert ["y"] == red

    def test_predict_gives_no_number_away(self, chromium, written):
        """Neither texts, titles, words for screen readers, curves nor products hold a number before it is typed."""
        data = session.of_solver(small_training(), 2, proofs=0)
        with opened(chromium, written(data)) as page:
            assert [] == page.evaluate(LEAKS)


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

    @pytest.mark.parametrize("left", [[], ["Escape"]])
    def test_a_key_shows_it(self, chromium, written, left):
        """Also where an empty answer has the focus, for no number begins with an r."""
        with opened(chromium, written()) as page:
            press(page, "t", "n", "n", *["ArrowRight"] * 5, *left, "r")
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


STRANGE = "\u202e</script><img src=x onerror=alert(1)>\"'& \U0001f98a" + "very_long_name" * 30


def strange_names():
    data = copy.deepcopy(EXAMPLE)
    data.update(net=STRANGE, command=STRANGE, notes=[STRANGE])
    for named in data["layers"] + data["blobs"]:
        named["name"] = STRANGE + named["name"]
    return data


def strange_numbers():
    """Nothing in one array, and no number in two others."""
    data = copy.deepcopy(EXAMPLE)
    data["arrays"][0] = {"shape": [0, 2], "values": []}
    for array, value in zip(data["arrays"][1:3], ("NaN", "-Infinity"), strict=True):
        array["values"] = [value] * len(array["values"])
    return data


def little():
    """Forward alone, without a solver, a drawing, proofs and products."""
    moments = [{**m, "proofs": [], "products": []} for m in EXAMPLE["moments"] if m["pass"] == "forward"]
    return {**EXAMPLE, "solver": None, "drawing": "", "notes": [], "moments": moments}


def nothing():
    return {**little(), "moments": [], "steps": []}


@pytest.mark.slow
@pytest.mark.parametrize("make", [strange_names, strange_numbers, little, nothing])
def test_what_a_page_may_hold(chromium, written, make):
    """Whatever stands in the data, every key works, and nothing leaves the page or becomes a part of it."""
    with opened(chromium, written(make())) as page:
        page.evaluate("location.hash = '#step=99999'")
        press(page, *"nnbu.,tfnrt", " ", " ", "?", "Escape", "End", "Home", *["ArrowRight"] * 9)
        assert page.evaluate("at === Math.min(9, stops.length - 1)")
        assert (0, []) == (page.locator("img[src=x]").count(), overflowing(page))
        assert "\u202e" not in words(page) + page.inner_text("h1")


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
