"""The page of a net in a browser: boxes are chosen by click and by keyboard alone."""

import pytest
from browser import browser, opened, overflowing
from drawing_nets import SIAMESE, googlenet
from net_tools import layer, make

from minicaffe.drawing import draw

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture
def page_of(tmp_path, chromium):
    """Open the page of a net."""
    def open_page(text, **options):
        file = tmp_path / "net.html"
        file.write_text(draw(make(text, shapes_only=True), fold=None).html(), encoding="utf-8")
        return opened(chromium, file, **options)
    return open_page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_click_shows_the_layer(page_of, scheme):
    """Its fields, shapes, costs and the datasheet of its type, beside the drawing, in which it is lit."""
    with page_of(SIAMESE, scheme=scheme) as page:
        assert [] == overflowing(page)
        assert not page.is_visible("#sheet")
        page.click('[data-layer="3"] .box')
        sheet = page.inner_text("#sheet")

        assert page.text_content("#sheet h2") == "conv"
        for words in ("image 3×1×9×8", "conv 3×4×7×6", "parameters\t40", "num_output: 4", "Datasheet of Convolution",
                      "Backward"):
            assert words in sheet
        assert ["3"] == page.eval_on_selector_all(".layer.lit", "all => all.map((g) => g.dataset.layer)")
        assert [] == overflowing(page)
        page.click("#sheet .close")
        assert not page.is_visible("#sheet")


def test_keyboard_alone(page_of):
    """Tab reaches the drawing, the arrows go from layer to layer, Enter shows one, Escape closes."""
    with page_of(SIAMESE) as page:
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.closest('.layer') !== null"):
                break
        assert "0" == page.evaluate("document.activeElement.dataset.layer")
        for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
            page.keyboard.press(key)
        assert "slice" == page.text_content("#sheet h2")
        page.keyboard.press("Escape")
        assert not page.is_visible("#sheet")
        assert "2" == page.evaluate("document.activeElement.dataset.layer")


def test_sizes(page_of):
    """+ and − change the size, and a button brings a wide net into the window."""
    with page_of(googlenet(4, 5, 6, 7, 8), width=900) as page:
        size = "document.querySelector('svg').getBoundingClientRect().width"
        page.click("text=100 %")
        natural = page.evaluate(size)
        page.keyboard.press("+")
        assert page.evaluate(size) == pytest.approx(1.25 * natural)
        page.click("#fit")
        assert page.evaluate(size) <= 900
        assert [] == overflowing(page)


def test_all_blocks(page_of):
    """A fold names the layers that it stands for; a button opens it, and a layer is found by its name."""
    with page_of(googlenet(4, 5, 6, 7, 8)) as page:
        shown = ".view:not([hidden]) .layer"
        page.click('.view:not([hidden]) [data-layers~="4"] .box')
        assert "Drawn as one with 4 more" in page.inner_text("#sheet")
        folded = page.locator(shown).count()
        page.click("#unfold")
        assert page.locator(shown).count() > 3 * folded
        page.fill("#find", "inception_d/5x5")
        page.keyboard.press("Enter")
        assert "inception_d/5x5" == page.text_content("#sheet h2")
        assert page.locator(".layer.lit .box").is_visible()


def test_one_fold_opens(page_of):
    """A click on a frame opens it alone, the keyboard too, and the button folds it again."""
    text = googlenet(4, 5, 6, 7, 8)
    text += "".join(layer("TanH", f"u{n - 1}" if n else "inception_e/output", f"u{n}") for n in range(7))
    with page_of(text) as page:
        frames = ".view:not([hidden]) .fold"
        shown = "document.querySelectorAll('.view:not([hidden]) .layer').length"
        assert page.locator(frames).count() == 2
        folded = page.evaluate(shown)
        page.locator(frames).last.locator(".side").click()
        assert page.locator(frames).count() == 1
        assert page.evaluate(shown) == folded + 6
        assert "u0" in page.evaluate("document.activeElement.textContent")
        page.click("text=Fold blocks")
        assert page.evaluate(shown) == folded
        page.locator(frames).first.focus()
        page.keyboard.press("Enter")
        assert page.locator(frames).count() == 1
        assert page.evaluate(shown) > folded + 20
        page.click("text=Fold blocks")
        page.click("text=All blocks")
        assert page.locator(frames).count() == 0
