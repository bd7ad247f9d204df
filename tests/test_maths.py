"""The pages of docs/maths: their numbers, their formulas and their exercises. See maths_pages.py for how."""

import re
from pathlib import Path

import numpy as np
import pytest
from maths_pages import Student, is_value, same, sections, statements, without_source
from pages import BLOCK

from minicaffe.cli import explain

FOLDER = Path(__file__).parents[1] / "docs" / "maths"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
# type -> its page, and the names that the layer and the central differences must both have confirmed
DERIVED = {
    "InnerProduct": ("common", "dx dw db"), "Embed": ("common", "dw db"), "Dropout": ("common", "dx"),
    "ReLU": ("activation", "dx"), "Sigmoid": ("activation", "dx"), "TanH": ("activation", "dx"),
    "Scale": ("activation", "dx dw db"), "Split": ("utility", "dx"), "Eltwise": ("utility", "dx0 dx1 dx2"),
    "Concat": ("utility", "dx0 dx1 dx2"), "Deconvolution": ("vision", "dx dw db")}
FOLLOWED = ["backpropagation", *dict.fromkeys(page for page, _ in DERIVED.values())]


def followed(text, folder):
    """What is compared in a text; AssertionError where something disagrees."""
    return Student(folder).follow(text)


@pytest.mark.parametrize("page", FOLLOWED)
def test_a_page_can_be_followed(page, tmp_path):
    """What the page shows is what its formulas give, what the layers compute, and the slope of the loss."""
    assert followed(PAGES[page], tmp_path)


@pytest.mark.parametrize(("kind", "page", "names"), [(kind, *rest) for kind, rest in DERIVED.items()])
def test_a_derivation_is_whole(kind, page, names, tmp_path):
    """Each gradient of the type is confirmed by the layer and by differences; the layer's code is quoted; exercises."""
    section = sections(PAGES[page])[kind]
    seen = followed(section, tmp_path)

    for witness in ("layer", "difference"):
        assert set(names.split()) <= {name for who, name in seen if who == witness}
    assert any(who == "quote" for who, _ in seen)
    assert [str(i + 1) for i in range(3)] == re.findall(r"^\*\*(\d)\.\*\*", section, re.MULTILINE)
    assert 3 == section.count("<details>\n<summary>Answer</summary>\n\n") == section.count("\n\n</details>\n")


def test_backpropagation_names_its_witnesses(tmp_path):
    """In the page about the whole net, too, each gradient is confirmed, and what the net says is shown."""
    seen = followed(PAGES["backpropagation"], tmp_path)

    assert {"dx", "dw", "dh"} <= {name for who, name in seen if who == "layer"}
    assert {"dy", "dw2", "dh", "dz", "dw1", "db1", "dx", "dh0", "dh1"} <= {n for who, n in seen if who == "difference"}
    assert {"net.plan.layers", "net.blobs['loss'].diff"} <= {name for who, name in seen if who == "shown"}
    assert PAGES["backpropagation"].count("<details>") >= 3


@pytest.mark.parametrize("page", FOLLOWED)
def test_words_repeat_numbers_of_the_code(page):
    """A number in the words or in a table stands in the code of its section as well, where it is computed."""
    wrong = {heading: numbers for heading, text in sections(PAGES[page]).items()
             if page != "vision" or heading in DERIVED if (numbers := without_source(text))}

    assert {} == wrong


@pytest.mark.parametrize("kind", DERIVED)
def test_explain_names_the_derivation(kind):
    """`minicaffe explain` ends with the page and the heading."""
    page, _ = DERIVED[kind]
    last = " ".join(explain.page(kind).split("\n\n")[-1].split())

    assert last == f"The formulas are derived in docs/maths/{page}.md#{kind.lower()} of the repository."


def test_the_index_lists_every_page():
    """Each page of the folder stands in the index once, and no other."""
    listed = re.findall(r"^\d+\. \[(\w+)\.md\]\(\1\.md\)", PAGES["README"], re.MULTILINE)

    assert sorted(listed) == sorted(set(PAGES) - {"README"})


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """Each link to a file of the repository leads to it, and to a heading that it has."""
    words = BLOCK.sub("", PAGES[page])
    for file, anchor in re.findall(r"\]\((?!http)([^)#\s]*)#?([^)\s]*)\)", words):
        path = FOLDER / file if file else FOLDER / f"{page}.md"
        assert path.exists(), file
        if anchor:
            text = path.read_text(encoding="utf-8")
            headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
            assert anchor in {*re.findall(r'<a id="([\w-]+)">', text),
                              *(re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings)}, anchor


@pytest.mark.parametrize("page", PAGES)
def test_formulas_are_closed(page):
    """Dollar signs come in pairs, and so do fences and the tags of folded answers; no table has a bare | in a formula.

    GitHub takes the backslash of \\, and of \\{ away before it sets a formula, and refuses \\operatorname.
    """
    text = BLOCK.sub("", PAGES[page])
    formulas = re.findall(r"\$\$.*?\$\$|\$[^$]*\$", re.sub(r"`[^`\n]*`", "", text), re.DOTALL)

    for formula in formulas:
        assert not re.search(r"\\([^a-zA-Z ]|operatorname)", formula), formula
        assert formula.startswith("$$") or formula[1:-1] == formula[1:-1].strip(), formula
    for paragraph in text.replace("$$", "").split("\n\n"):
        assert paragraph.count("$") % 2 == 0, paragraph
    assert text.count("$$") % 2 == 0
    assert "```" not in text
    assert text.count("<details>") == text.count("</details>") == text.count("<summary>")
    for row in re.findall(r"^\|.*\|$", text, re.MULTILINE):
        assert not re.search(r"\$[^$]*\|[^$]*\$", row.replace("| ", "").replace(" |", "")), row


# --- the witnesses themselves -------------------------------------------------------------------------------

PAGE = """
```prototxt
layer { type: "TanH" bottom: "x" top: "y" }
```

```python
x = np.array([[0.5, -1, 2]])
dy = np.array([[1, -2, 3]])

y = np.tanh(x)           # [[0.4621, -0.7616, 0.9640]]
dx = dy * (1 - y * y)    # [[0.7864, -0.8399, 0.2120]]
```

```python
# minicaffe/layers/activation/tanh.py
        return 1 - y * y
```
"""


@pytest.mark.parametrize(("old", "new", "why"), [
    ("0.4621", "0.4622", "the page shows"),
    ("-0.8399", "0.8399", "the page shows"),
    ("[[0.7864, -0.8399, 0.2120]]", "[0.7864, -0.8399, 0.2120]", "the page shows"),
    ("return 1 - y * y", "return 1 - y", "does not say"),
    ('"TanH"', '"Sigmoid"', "not what the layer computes"),
    ("(1 - y * y)    # [[0.7864, -0.8399, 0.2120]]", "(1 - y)", "not what the layer computes"),
    ("dx = dy * (1 - y * y)    # [[0.7864, -0.8399, 0.2120]]", "dz = 2 * dy", "there is no z"),
    ("y = np.tanh(x) ", "y = np.tan(x) ", "the page shows")])
def test_a_planted_mistake_is_found(old, new, why, tmp_path):
    """Each of the witnesses contradicts a page with a mistake."""
    assert old in PAGE
    assert len(followed(PAGE, tmp_path)) == 6
    with pytest.raises(AssertionError, match=why):
        followed(PAGE.replace(old, new), tmp_path)


@pytest.mark.parametrize(("new", "why"), [
    ("dx = dy * (1 - y)", "not the slope of the loss"), ("x = 2 * x\ndx = dy * (1 - y * y)", "x has 2 values")])
def test_differences_find_what_the_layer_cannot(new, why, tmp_path):
    """Where no layer is named, a wrong gradient is found by moving the number."""
    page = PAGE.replace('layer { type: "TanH" bottom: "x" top: "y" }', "")
    assert len(followed(page, tmp_path)) == 4
    with pytest.raises(AssertionError, match=why):
        followed(page.replace("dx = dy * (1 - y * y)    # [[0.7864, -0.8399, 0.2120]]", new), tmp_path)


def numbers_shown():
    """(page, heading) of the sections that are followed: those with Python in them."""
    for page in FOLLOWED:
        yield from ((page, heading) for heading, section in sections(PAGES[page]).items()
                    if "```python" in section and (page != "vision" or heading in DERIVED))


def standing_alone(page, heading):
    """What must be followed before a section, and the section. All of backpropagation.md speaks of its first net."""
    head, first = re.split("^(?=## )", PAGES[page], flags=re.MULTILINE)[:2]
    if page != "backpropagation":
        return "", sections(PAGES[page])[heading]
    return ("", head + first) if heading in first else (first, sections(PAGES[page])[heading])


@pytest.mark.parametrize(("page", "heading"), list(numbers_shown()))
def test_each_number_of_a_page_can_fail(page, heading, tmp_path):
    """Whichever value of a section is changed in its last digit, the section is refused: none stands unread."""
    before, section = standing_alone(page, heading)
    values = [match for match in re.finditer(r"(?<=# )[^\n]+(?=\n)", section) if is_value(match[0])]

    assert len(values) >= 2
    for match in values:
        with pytest.raises(AssertionError, match="the page shows"):
            followed(before + section[:match.start()] + altered(match[0]) + section[match.end():], tmp_path)


def altered(value):
    """A value with another last digit, or with another truth at its end."""
    last = re.search(r"(\d|True|False)(?=[^\deTF]*$)", value)
    other = {"True": "False", "False": "True"}.get(last[0]) or str((int(last[0]) + 3) % 10)
    return value[:last.start()] + other + value[last.end():]


@pytest.mark.parametrize(("shown", "value", "equal"), [
    ("2", 2.0, True), ("2", 2.4, False), ("0.25", 0.25, True), ("0.25", 0.2501, False), ("0.3333", 1 / 3, True),
    ("0.3333", 0.3334, False), ("9.5e-07", 9.5367e-07, True), ("9.6e-07", 9.5367e-07, False), ("nan", np.nan, True),
    ("0", np.nan, False), ("[1, 2]", np.array([1, 2]), True), ("[1, 2]", np.array([[1, 2]]), False),
    ("[True, False]", np.array([True, False]), True), ("(2, 3)", (2, 3), True), ("1e-100", 1e-99, False)])
def test_when_a_value_is_the_one_shown(shown, value, equal):
    """Whole and short numbers must be exact, long ones may be rounded, and shapes count."""
    assert equal == same(shown, value)


def test_words_in_a_comment_are_no_value():
    """A comment that is no value is for the reader alone."""
    assert not is_value("what one layer leaves")
    assert [True] == [s.given for s in statements("x = np.array([1, 2])")]
    assert [False] == [s.given for s in statements("x = np.array([1, 2]).sum()    # 3")]
    assert ["4.25"] == without_source("It is 4.25, or 3.\n```python\nx = 1.5    # 4.2\n```\n")
