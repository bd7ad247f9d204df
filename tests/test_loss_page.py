"""The page docs/loss.html: its numbers against the layer and against exact arithmetic, and the page in a browser."""

import copy
import importlib
import itertools
import json
import math
import re
import sys
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest
import yaml
from browser import browser, opened, overflowing

from minicaffe import Blob
from minicaffe.layers import SigmoidCrossEntropyLossLayer

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "loss.html"
MATHS = (ROOT / "docs" / "maths" / "loss.md").read_text(encoding="utf-8")

sys.path.insert(0, str(ROOT / "docs"))
build, grid, lessons, versions = (importlib.import_module(f"loss_page.{name}")
                                  for name in ("build", "grid", "lessons", "versions"))
DATA = re.compile(r'(?<=id="data">).*?(?=</script>)')
COMBINATIONS = list(itertools.product(grid.T, grid.W, grid.GAMMA))


@pytest.fixture(scope="module")
def held():
    """The data that the page in the repository holds."""
    return json.loads(DATA.search(PAGE.read_text(encoding="utf-8"))[0])


def decoded(data, version, quantity):
    """All numbers of a version 1 to 5, or of the truth, 0, as an array of (combinations, x)."""
    rows = [list(row) for row in data["truth"][quantity]]
    for row, own in zip(rows, data["versions"][version - 1][quantity] if version else [], strict=False):
        for i, number in zip(own[::2], own[1::2], strict=True):
            row[i] = number
    return np.array(rows, np.float64)  # "nan" and "inf" too


def agree(a, b):
    """Whether two numbers differ by no more than one unit of the fifth digit, or of float32's smallest full digit."""
    return np.allclose(a, b, rtol=1.01e-4, atol=float(np.finfo(np.float32).tiny), equal_nan=True)


# --- the page against what makes it -----------------------------------------------------------------------------------

def test_the_page_is_not_stale(held):
    """The file is what `make docs` writes; a number may differ by one unit of its last digit, as computers differ."""
    made, page = build.build(), PAGE.read_text(encoding="utf-8")
    data = json.loads(DATA.search(made)[0])
    values = [agree(decoded(data, n, name), decoded(held, n, name)) for n in range(6) for name in grid.QUANTITIES]
    held = copy.deepcopy(held)  # the other tests of this file read it, too
    for both in (data, held):
        del both["truth"]
        for version in both["versions"]:
            del version["loss"], version["slope"]

    assert DATA.sub("", made) == DATA.sub("", page)
    assert all(values)
    assert_same(data, held)


def assert_same(made, held, place=""):
    """Two trees of data agree: texts exactly, numbers to their last digit."""
    if isinstance(made, dict):
        assert made.keys() == held.keys(), place
        for name in made:
            assert_same(made[name], held[name], f"{place}.{name}")
    elif isinstance(made, list):
        assert len(made) == len(held), place
        for i, (a, b) in enumerate(zip(made, held, strict=True)):
            assert_same(a, b, f"{place}[{i}]")
    elif isinstance(made, str):
        assert made == held, place
    else:
        assert math.isclose(made, held, rel_tol=1.01e-4), place


def test_the_page_stands_alone():
    """It is small enough to be sent, and asks for no other file."""
    page = PAGE.read_text(encoding="utf-8")

    assert len(page.encode()) < 600_000
    assert re.findall(r'(?:src|href)="([^"#]*)"', page) == ["maths/loss.md"] * 2  # in two languages
    assert (PAGE.parent / "maths" / "loss.md").exists()


# --- the numbers ------------------------------------------------------------------------------------------------------

def exact(x, t, gamma):
    """The loss and the slope in 90 digits, by the formulas of docs/maths/loss.md as they stand there."""
    with localcontext() as context:
        context.prec = 90
        x, t, gamma = Decimal(float(x)), Decimal(t), Decimal(gamma)
        p = 1 / (1 + (-x).exp())
        q = 1 - p
        loss = -t * q**gamma * p.ln() - (1 - t) * p**gamma * q.ln()
        slope = (-t * q**gamma * (q - gamma * p * p.ln()) + (1 - t) * p**gamma * (p - gamma * q * q.ln()))
        return float(loss), float(slope)


@pytest.mark.parametrize("gamma", grid.GAMMA)
def test_the_truth_is_true(gamma):
    """Float64 has at least twelve digits of the exact loss, and of the slope where it does not pass through 0."""
    x = grid.scores()[1:-1:3].astype(np.float64)
    for t in grid.T:
        loss, slope = versions.true_values(x, np.full_like(x, t), np.ones_like(x), gamma)
        want = np.array([exact(each, t, gamma) for each in x]).T

        np.testing.assert_allclose(loss, want[0], rtol=1e-12, atol=1e-300)
        np.testing.assert_allclose(slope, want[1], rtol=1e-12, atol=1e-14 if 0 < t < 1 else 1e-300)


def test_the_truth_at_infinity():
    """The limits: a right answer costs nothing, a wrong one without end, and the slope is how wrong it is."""
    x, t = np.array([-np.inf, np.inf] * 3), np.repeat([0, 0.25, 1], 2)
    for gamma in (0, 2):
        loss, slope = versions.true_values(x, t, np.full(6, 2.0), gamma)

        assert [0, np.inf, np.inf, np.inf, np.inf, 0] == loss.tolist()
        assert [0, 2, -0.5, 1.5, -2, 0] == slope.tolist()


def test_version_5_is_the_layer(held):
    """What the page says of version 5 is what the layer computes for the cells of one batch."""
    x = np.array(held["x"], np.float64)
    losses, slopes = decoded(held, 5, "loss"), decoded(held, 5, "slope")
    for gamma in grid.GAMMA:
        rows = [i for i, (_, _, g) in enumerate(COMBINATIONS) if g == gamma]
        shape = (len(rows), len(x))
        bottoms, tops = [Blob(shape) for _ in range(3)], [Blob(()), Blob(shape)]
        bottoms[0].data[...] = x
        bottoms[1].data[...] = [[COMBINATIONS[i][0]] for i in rows]
        bottoms[2].data[...] = [[COMBINATIONS[i][1]] for i in rows]
        layer = SigmoidCrossEntropyLossLayer(loss_param={"normalization": "NONE", "focal_gamma": gamma})
        layer.SetUp(bottoms, tops)
        with np.errstate(all="ignore"):
            layer.Forward(bottoms, tops)
            layer.Backward(tops, [True, False, False], bottoms)

        assert agree(losses[rows], tops[1].data)
        assert agree(slopes[rows], bottoms[0].diff)


@pytest.mark.parametrize(("version", "t", "quantity", "edge"), [
    (1, 0, "loss", 16.635532), (1, 1, "loss", 16.635532), (1, 0, "loss", -88.72284), (1, 1, "loss", -88.72284),
    (2, 0, "loss", 15.536921), (2, 0, "slope", 16.635532), (2, 1, "slope", -16.118097),
    (3, 1, "loss", -88.72284), (3, 0, "loss", -88.72284)])
def test_failures_begin_where_the_maths_says(held, version, t, quantity, edge):
    """A red region begins at the number that docs/maths/loss.md names for the version."""
    assert str(abs(edge)) in MATHS
    regions = held["versions"][version - 1][f"{quantity}Red"][COMBINATIONS.index((t, 1, 0))]
    begins = [float(to if edge < 0 else begin) for begin, to, _ in regions]

    assert pytest.approx(edge, rel=1e-7) in begins


def test_red_is_what_the_page_says_is_red():
    """The regions hold every x of the slider that breaks the rule, and no stretch longer than 1 that keeps it."""
    x = grid.fine_scores()
    shown = np.isin(x, grid.scores())
    truth, found = grid.values_on(x)
    for number, name, row in itertools.product(range(5), grid.QUANTITIES, range(0, len(COMBINATIONS), 7)):
        own, true = found[number][name][row].astype(np.float64), truth[name][row]
        with np.errstate(invalid="ignore"):  # ∞ − ∞
            near = np.abs(own - true) <= np.abs(true) / 1000 + 1.1754944e-38
        wrong = ~((own == true) | (np.isfinite(own) & np.isfinite(true) & near))
        red = np.zeros(len(x), bool)
        for begin, end, _ in grid.regions(x, found[number][name][row], true):
            begin, end = (np.float32(float(edge)) for edge in (begin, end))
            red |= (begin <= x) & (x <= end)
            inside = np.flatnonzero((begin <= x) & (x <= end) & wrong)
            assert {begin, end} <= {x[inside[0]], x[inside[-1]]}
            assert np.diff(x[inside[np.isfinite(x[inside])]]).max(initial=0) <= 1

        assert red[shown & wrong].all()
        assert number < 4 or not red.any()


def test_how_a_number_is_wrong():
    """Each kind of fault is told from the others."""
    x = np.arange(8, dtype=np.float32)
    own = np.array([np.nan, np.inf, 0, 5, 5, 5, 5.001, 1e-9], np.float32)
    true = np.array([1, 1, 1, 3, 4, 6, 5, 2e-9])

    assert ["nan", "infinite", "zero", "inexact", "inexact", "inexact", None, "lost"] == [
        None if kind < 0 else grid.KINDS[kind] for kind in grid.faults(x, own, true)]
    own = np.array([2, 3, 5, 5, 5, 5, 6, 7], np.float32)
    assert [[2, 5, grid.KINDS.index("flat")]] == grid.regions(x, own, np.array([2, 3, 9, 9, 9, 9, 6, 7.0]))


def test_the_last_digits_of_float32_are_not_held():
    """They differ among computers. What is off by more than they are is held, with its place."""
    true = np.array([0.375005, 2, np.inf, 1e-20, np.inf])
    own = np.array([0.375006, 2.001, np.inf, 0, np.nan], np.float32)

    assert [1, 2.001, 3, 0, 4, "nan"] == grid.differing(own, true)


# --- the divisors and the slips ---------------------------------------------------------------------------------------

def test_divisors_are_those_of_the_maths(held):
    """Z and L of the four modes are those of docs/maths/loss.md."""
    table = re.findall(r"^\| `(FULL|VALID|BATCH_SIZE|NONE)` \| (\d) \| ([\d.]+) \|", MATHS, re.MULTILINE)
    case = held["divisors"]["cases"]["1,0"]

    assert 4 == len(table)
    for mode, z, loss in table:
        assert int(z) == case["modes"][mode]["Z"]
        assert pytest.approx(float(loss), abs=6e-5) == case["modes"][mode]["L"]


def test_divisors_with_weights(held):
    """With the weights 1 and 3 and no answer unknown, VALID divides by 3 · 1 + 3 · 3, and the others do as before."""
    case = held["divisors"]["cases"]["0,1"]

    assert {"FULL": 6, "VALID": 12, "BATCH_SIZE": 2, "NONE": 1} == {m: v["Z"] for m, v in case["modes"].items()}
    for mode in case["modes"].values():
        assert pytest.approx(case["sum"] / mode["Z"], rel=1e-4) == mode["L"]
        np.testing.assert_allclose(np.array(case["modes"]["NONE"]["dx"]) / mode["Z"], mode["dx"], rtol=2e-3)


def test_slips_are_proved_by_the_right_numbers():
    """The numbers in the answers are those of the formulas h − y and (h − y) x."""
    found = {name: text.replace("−", "-") for name, text in lessons.slips().items()}

    def h(score):
        return 1 / (1 + math.exp(-score))

    assert [f"{h(2) - 1:.4f}"] * 2 == [found["dx"], found["quotient"]]
    assert f"{1 - h(2):.4f}" == found["minus_dx"]
    assert [f"{-math.log(h(s)):.4f}" for s in (1.99, 2.01)] == [found["low"], found["high"]]
    assert f"{h(-0.5) - 1:.4f}" == found["d_score"]
    assert [f"{(h(-0.5) - 1) * x:.4f}" for x in (3, 2)] == [found["d_theta_0"], found["d_theta_1"]]
    assert found["d_theta_0"] == found["theta_quotient"]
    assert ("100", "∞") == (found["far_loss"], found["far_wrong"])
    for name, sign in (("down", 1), ("up", -1)):
        losses = [float(each) for each in found[name].split(" → ")]
        assert sorted(losses, key=lambda each: -sign * each) == losses


# --- the words --------------------------------------------------------------------------------------------------------

def texts(tree, place=""):
    """(place, English, Chinese) of each text in the tree of words."""
    if isinstance(tree, dict) and "en" in tree:
        yield place, tree["en"], tree.get("zh", "")
        assert {"en", "zh"} == set(tree), place
    elif isinstance(tree, dict | list):
        for name, below in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from texts(below, f"{place}.{name}")


def test_both_languages_say_the_same():
    """Every text is there in both languages, with the same numbers from the layer and the same places for them."""
    words = yaml.safe_load((ROOT / "docs" / "loss_page" / "words.yaml").read_text(encoding="utf-8"))
    found = list(texts(words))

    assert len(found) > 100
    for place, english, chinese in found:
        assert sorted(re.findall(r"\{\w+\}|@", english)) == sorted(re.findall(r"\{\w+\}|@", chinese)), place
        assert not re.search("[\u4e00-\u9fff]", english), place
        letters = re.search("[a-zA-Z]{4}", re.sub(r"<.*?>|\{.*?\}", "", english))
        assert re.search("[\u4e00-\u9fff]", chinese) or not letters, place


@pytest.mark.parametrize(("preset", "seen"), [
    (0, {(0, "loss"): 4.14e-8, (3, "loss"): 0, (4, "loss"): 0, (1, "loss"): math.nan}),
    (1, {(0, "loss"): 20, (0, "slope"): 1, (2, "loss"): 15.942, (2, "slope"): 0}),
    (2, {(0, "loss"): 92, (3, "loss"): math.inf}),
    (3, {(0, "loss"): 0, (4, "loss"): math.nan, (5, "loss"): 0}),
    (4, {(1, "loss"): math.nan, (5, "loss"): 0}),
    (5, {(0, "loss"): 0.0227})])
def test_presets_show_what_their_notes_say(held, preset, seen):
    """The numbers in the note of each preset are those of the page."""
    chosen = held["presets"][preset]
    row = COMBINATIONS.index((chosen["t"], chosen["w"], chosen["gamma"]))
    column = held["x"].index(chosen["x"])

    for (version, quantity), want in seen.items():
        assert pytest.approx(want, rel=2e-3, nan_ok=True) == decoded(held, version, quantity)[row, column]


# --- in a browser -----------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


def number(text):
    """A number as the page writes it."""
    powers = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")
    return float(text.translate(powers).replace("·10", "e").replace("∞", "inf"))


@pytest.mark.slow
def test_sliders_by_keyboard(chromium, held):
    """The arrows move the sliders, and everything that is shown is the number of the grid that they picked."""
    rng = np.random.default_rng(3)
    with opened(chromium, PAGE) as page:
        for _ in range(3):
            at = {name: int(rng.integers(len(held[name]))) for name in ("x", "t", "w", "gamma")}
            for name, index in at.items():
                page.focus(f"#{name}")
                last = len(held[name]) - 1
                page.keyboard.press("Home" if index <= last / 2 else "End")
                for _ in range(min(index, last - index)):
                    page.keyboard.press("ArrowRight" if index <= last / 2 else "ArrowLeft")
            row = (at["t"] * len(held["w"]) + at["w"]) * len(held["gamma"]) + at["gamma"]
            assert pytest.approx(float(held["x"][at["x"]])) == number(page.text_content('output[for="x"]'))
            for quantity in grid.QUANTITIES:
                shown = [page.text_content(f"#true-{quantity}")]
                shown += page.locator(f"output.{quantity}").all_text_contents()
                want = [decoded(held, n, quantity)[row, at["x"]] for n in range(6)]
                np.testing.assert_allclose([number(text) for text in shown], want, rtol=5.1e-3)
        page.locator("#spoken", has_text="Version 5: loss").wait_for(state="attached")


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 800)])
def test_two_languages_and_no_overflow(chromium, scheme, width):
    """The switch changes every text, in which nothing reaches over the edge, whatever is opened."""
    with opened(chromium, PAGE, width=width, scheme=scheme) as page:
        for language, title, word, spoken in (
                ("zh", "同一个损失函数\uff0c五种算法", "不是数", "真值"),
                ("en", "One loss, five ways to compute it", "not a number", "Truth")):
            page.click(f"[data-language={language}]")
            for slip in range(3):
                page.click(f"#slip-{slip} [data-wrong]")
            for preset, view in ((0, "near"), (4, "wide"), (5, "close")):
                page.click(f"[data-preset='{preset}']")
                page.click(f"[data-view={view}]")
                assert [] == overflowing(page)
            page.click("[data-preset='0']")
            assert title == page.title() == page.inner_text("h1")
            assert word in page.inner_text("#version-1 .verdict >> nth=0")
            page.locator("#spoken", has_text=spoken).wait_for(state="attached")
            seen = page.inner_text("main")
            assert bool(re.search("[\u4e00-\u9fff]", seen)) == (language == "zh")
            assert language == "en" or "Begin" not in seen


@pytest.mark.slow
def test_red_regions_are_drawn_and_named(chromium):
    """Version 2 at t = 0 is red on the right of both plots, with a word in it; the layer has no red."""
    with opened(chromium, PAGE) as page:
        page.click("[data-preset='1']")
        assert "flat" in page.locator("#version-2 svg.loss text.label").all_text_contents()
        assert "0" in page.locator("#version-2 svg.slope text.label").all_text_contents()
        box = page.locator("#version-2 svg.slope rect.wrong").bounding_box()
        plot = page.locator("#version-2 svg.slope").bounding_box()
        assert box["x"] > plot["x"] + plot["width"] / 2
        assert 0 == page.locator("#version-5 svg rect").count()
        assert "x ≥ 16.6: 0 instead of the slope" in page.locator("#version-2 ul.slope li").all_text_contents()


@pytest.mark.slow
def test_find_the_mistakes_and_choose_a_divisor_by_keyboard(chromium, held):
    """A right line and a wrong one are answered, all three slips count, and a mode shows its Z and its loss."""
    with opened(chromium, PAGE) as page:
        for slip in range(3):
            buttons = page.locator(f"#slip-{slip} button")
            wrong = [buttons.nth(n).get_attribute("data-wrong") for n in range(3)].index("yes")
            buttons.nth(0).press("Enter")
            assert "further" in page.inner_text(f"#slip-{slip} .reply:visible") or slip == 2
            assert f"{slip} of 3" in page.inner_text("#found")
            buttons.nth(wrong).press("Enter")
            assert page.inner_text(f"#slip-{slip} .reply:visible").startswith("Yes")
        assert "3 of 3" in page.inner_text("#found")
        assert page.is_visible("#all-found")

        page.press("[data-mode=VALID]", "Enter")
        assert "L = 4.5735 / 5 = 0.91471" == page.inner_text("#result")
        assert 5 == page.locator("#cells td.counted").count()
        page.press("#weighted", "Space")
        assert "Z = 9, the sum of the weights" in page.inner_text("#counts")
