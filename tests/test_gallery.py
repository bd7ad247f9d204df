"""docs/layers.html and its drawings."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from browser import browser, opened, overflowing

from minicaffe.layers import datasheet

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "layers.html"
TYPES = [name for types in datasheet.families().values() for name in types]
SVG = "{http://www.w3.org/2000/svg}"

sys.path.insert(0, str(ROOT / "docs"))
from gallery import canvas, layers_page, registry  # noqa: E402 - it lies in docs/


@pytest.fixture(scope="module")
def built():
    """The page as it is built now."""
    return layers_page.generate()


def test_every_type_has_a_drawing():
    """Of the layer types of the package none is without a drawing, and no drawing is of anything else."""
    assert set(TYPES) == set(registry.DRAWINGS)
    assert 91 == len(TYPES)


def test_a_layer_without_a_drawing_is_named(monkeypatch):
    """`make docs` ends with the names of the types that have none."""
    monkeypatch.delitem(registry.DRAWINGS, "Pooling")
    monkeypatch.delitem(registry.DRAWINGS, "Embed")

    with pytest.raises(registry.DrawingError, match="no drawing of Embed, Pooling"):
        layers_page.generate()


def test_a_drawing_without_a_layer_is_named(monkeypatch):
    monkeypatch.setitem(registry.DRAWINGS, "Poolling", registry.DRAWINGS["Pooling"])

    with pytest.raises(registry.DrawingError, match="draws Poolling, but there is no such layer type"):
        layers_page.generate()


def test_a_type_is_drawn_once():
    """A second drawing of a type, such as one copied and not renamed, is refused."""
    with pytest.raises(registry.DrawingError, match="two drawings of Pooling"):
        registry.drawing("Pooling")(lambda canvas: None)


def without_places(page):
    """The text of a page without the coordinates of its pictures, and these as numbers."""
    places = re.compile(r' (?:d|x|y|cx|cy|r|width|height|viewBox)="([^"]*)"')
    return places.sub("", page), [float(n) for found in places.findall(page) for n in re.findall(r"-?\d+\.?\d*", found)]


def test_the_page_is_not_stale(built):
    """docs/layers.html is what is built now. Coordinates may differ by their last digit, as exp does among machines."""
    text, places = without_places(built)
    old_text, old_places = without_places(PAGE.read_text(encoding="utf-8"))

    assert old_text == text
    assert len(places) > 20000
    np.testing.assert_allclose(places, old_places, rtol=0, atol=0.11)
    assert PAGE.stat().st_size < 1_500_000


def test_the_page_has_all_parts_of_every_type(built):
    """Each card has its drawing, formulas, fields, sample and numbers, and what it links to is there."""
    cards = dict(re.findall(r'<article class="card" id="([\w-]+)"(.*?)</article>', built, re.DOTALL))

    assert [datasheet.anchor(name) for name in TYPES] == list(cards)
    for name in TYPES:
        card = cards[datasheet.anchor(name)]
        links = [link.split("#")[0] for link in re.findall(r"href='([^']+)'", card)]
        assert all((PAGE.parent / link).exists() for link in links), name
        assert all(part in card for part in ("<svg ", "<dt>Forward</dt>", "A sample that runs")), name
        assert card.count("<summary><code>") == len(datasheet.fields(name)), name
    assert "<dd><pre>y = max(x, 0) + α · min(x, 0)</pre></dd>" in cards["relu"]
    assert "With γ &gt; 0" in cards["softmaxwithloss"]  # a note below the formulas


def test_drawings_are_valid(built):
    """Each is valid XML with a title and a description for screen readers, and fits into a window of 800 pixels."""
    drawings = [ET.fromstring(svg) for svg in re.findall(r"<svg .*?</svg>", built, re.DOTALL)]

    assert TYPES == [root.find(f"{SVG}title").text for root in drawings]
    for name, root in zip(TYPES, drawings, strict=True):
        assert len(root.find(f"{SVG}desc").text) > 40, name
        assert float(root.get("width")) <= 712, name
        assert len(root.findall(f".//{SVG}text")) > 4, name
    ids = re.findall(r"\bid=[\"']([\w-]+)", built)
    assert len(ids) == len(set(ids))


def test_a_drawing_as_a_file_of_its_own(tmp_path):
    """It brings the colours of both schemes along."""
    subprocess.run([sys.executable, ROOT / "docs" / "gallery", tmp_path, "Pooling", "ReLU"], check=True, cwd=tmp_path)

    assert ["pooling.svg", "relu.svg"] == sorted(file.name for file in tmp_path.iterdir())
    root = ET.parse(tmp_path / "pooling.svg").getroot()
    assert "prefers-color-scheme: dark" in root.find(f"{SVG}style").text
    assert ".drawing .cell {" in root.find(f"{SVG}style").text


@pytest.mark.parametrize("name", ["Convolution", "Pooling", "ReLU", "BatchNorm", "Softmax", "SoftmaxWithLoss", "RNN",
                                  "Concat", "InnerProduct", "LRN"])
def test_drawings_show_what_the_layer_computes(name, monkeypatch):
    """A layer that computed something else would have another drawing."""
    before, arrays = registry.svg(name), registry._arrays
    monkeypatch.setattr(registry, "_arrays", lambda found: {name: array + 0.5 for name, array in arrays(found).items()})

    assert before != registry.svg(name)


@pytest.mark.parametrize(("value", "text"), [(2.0, "2"), (-0.333333, "−0.33"), (0.0, "0"), (-0.0, "0"), (100, "100"),
                                             (0.00291, "0.003"), (-0.00005, "0"), (1e-9, "0"), (0.5, "0.5")])
def test_numbers(value, text):
    assert text == canvas.number(value)


def test_a_text_that_begins_outside_is_refused():
    """What would be cut off at the left border is a mistake of the drawing's author."""
    with pytest.raises(ValueError, match=r"'a long word' begins left of the picture"):
        canvas.Canvas().text(20, 20, "a long word", anchor="middle")


# --- in a browser -------------------------------------------------------------------------------------------------

FLAWS = """() => {
  const flaws = [];
  for (const svg of document.querySelectorAll("svg.drawing")) {
    const name = svg.querySelector("title").textContent, frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect(), text]);
    for (const [words, box, text] of texts) {
      if (box.left < frame.left || box.right > frame.right || box.top < frame.top || box.bottom > frame.bottom)
        flaws.push(`${name}: "${words}" is cut off`);
      if (parseFloat(getComputedStyle(text).fontSize) < 11) flaws.push(`${name}: "${words}" is too small`);
    }
    texts.forEach(([a, one], i) => texts.slice(0, i).forEach(([b, other]) => {
      const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const high = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      if (wide > 1 && high > 4) flaws.push(`${name}: "${a}" and "${b}" overlap`);
    }));
  }
  return flaws;
}"""
SHOWN = "() => [...document.querySelectorAll('.card')].filter(card => card.offsetParent).map(card => card.dataset.type)"


@pytest.mark.slow
def test_the_page_in_a_browser():
    """Nothing overflows, nothing is cut off or overlaps, in light and dark; the filter works by keyboard alone."""
    colours = set()
    with browser() as chromium:
        for width, scheme in ((1280, "light"), (1280, "dark"), (800, "light")):
            with opened(chromium, PAGE, width=width, scheme=scheme) as page:
                assert [] == overflowing(page)
                assert [] == page.evaluate(FLAWS)
                assert TYPES == page.evaluate(SHOWN)
                colours.add(page.evaluate("() => getComputedStyle(document.querySelector('.drawing text')).fill"))
        with opened(chromium, PAGE) as page:
            page.keyboard.press("/")
            page.keyboard.type("POOL")
            found = [name for name in TYPES if "pool" in f"{name} {datasheet.summary(name)}".lower()]
            assert {"Pooling", "SPP"} <= set(found) < set(TYPES)
            assert found == page.evaluate(SHOWN)
            assert f"{len(found)} of 91 types" == page.inner_text("#count")
            assert len(found) == page.locator("nav li:visible").count()
            page.keyboard.press("Enter")
            page.wait_for_url(f"**#{datasheet.anchor(found[0])}")  # the address follows a moment later
            page.keyboard.press("/")  # selects what stands there
            page.keyboard.type("poolling")
            assert [] == page.evaluate(SHOWN)
            assert page.locator("#nothing").is_visible()
            page.evaluate("location.hash = 'softmax'")  # a link to a hidden card brings all back
            page.wait_for_function("document.getElementById('softmax').offsetParent")
            assert TYPES == page.evaluate(SHOWN)
            page.keyboard.press("Escape")
            assert "91 types" == page.inner_text("#count")

    assert 2 == len(colours)
