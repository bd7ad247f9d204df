"""What the README says, done; and the links of every page, followed."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from minicaffe.cli.__main__ import COMMANDS, main
from minicaffe.io import weights
from minicaffe.net import Net

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LENET = ROOT / "examples" / "fashion_mnist"
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")})


def test_every_command_has_its_row():
    """The table lists the commands that there are, and no others."""
    assert sorted(COMMANDS) == sorted(re.findall(r"^\| `minicaffe ([\w-]+)` \|", README, re.MULTILINE))


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_target_exists(page):
    """The Makefile has each target that a page tells one to make."""
    named = re.findall(r"(?:^    |`)make ([\w-]+)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)

    assert "test" in named
    assert set(named) <= set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_citation_is_of_this_version():
    """CITATION.cff is a file of CFF 1.2.0 and has the version and licence of pyproject.toml."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert "1.2.0" == citation["cff-version"]
    assert {"message", "title", "authors"} <= set(citation)
    assert re.search(r'^version = "(.*)"', project, re.MULTILINE)[1] == citation["version"]
    assert re.search(r'^license = "([\w.-]+)', project, re.MULTILINE)[1] == citation["license"]


def test_a_mistake_is_the_message_shown(tmp_path, monkeypatch, capsys):
    """The misspelt field is reported word for word as the README prints it."""
    shown = re.search(r"^    minicaffe: error: .*\n(?:    .*\n)+", README, re.MULTILINE)[0]
    lines = (LENET / "lenet_train_test.prototxt").read_text().splitlines(keepends=True)
    number = int(re.search(r"prototxt:(\d+):", shown)[1])
    lines[number - 1] = lines[number - 1].replace("bottom", "botom")
    (tmp_path / "lenet_train_test.prototxt").write_text("".join(lines))
    monkeypatch.chdir(tmp_path)

    assert 1 == main(["show", "lenet_train_test.prototxt"])
    assert re.sub("^    ", "", shown, flags=re.MULTILINE) == capsys.readouterr().err


def test_a_net_is_used_as_shown(tmp_path, monkeypatch, capsys):
    """The lines under 'Use a net' run with the example's files and print a class an image."""
    code = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "Net(" in block)
    (tmp_path / "lenet.prototxt").write_bytes((LENET / "lenet.prototxt").read_bytes())
    monkeypatch.chdir(tmp_path)
    weights.save("lenet_iter_10000.caffemodel", Net("lenet.prototxt"))
    exec(code, {"images": np.random.default_rng(3).random((64, 1, 28, 28), np.float32)})

    classes = np.array(capsys.readouterr().out.replace("[", "").replace("]", "").split(), int)
    assert 64 == len(classes)
    assert set(classes) <= set(range(10))


def test_a_layer_works_alone_as_shown(capsys):
    """The ten lines run, the loss is the one in the comment, and the two numbers agree."""
    code = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "SetUp(" in block)
    names = {}
    exec(code, names)

    slope, difference = map(float, capsys.readouterr().out.split())
    assert slope == pytest.approx(difference, rel=1e-5)
    assert float(re.search(r"# (\d\.\d{6,})", code)[1]) == pytest.approx(names["loss"], abs=1e-14)


def anchors(text):
    """By which names links reach the headings of a page. A second heading of one name has -1 behind it."""
    names, seen = set(), Counter()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        name = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        names.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Each link of a page to another names a file that exists, and a heading in it."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if link.startswith("http"):
            continue
        if not target.exists():
            broken.append(link)
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            broken.append(link)

    assert [] == broken
