"""The pages of docs/guide, each followed in an empty folder. See pages.py for how."""

import os
import re
from pathlib import Path

import pytest
from extras import needs
from pages import BLOCK, Reader, agree

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "docs" / "guide.md"
PAGES = sorted((ROOT / "docs" / "guide").glob("*.md"))
# the other pages train for longer, or start many commands
QUICK = {"phases", "sharing", "from_caffe"}


@pytest.mark.skipif(os.name == "nt", reason="the programs are scripts of a POSIX shell")
@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem, marks=[] if page.stem in QUICK
                                               else [pytest.mark.slow]) for page in PAGES])
def test_a_page_can_be_followed(page, tmp_path):
    """Everything that the page runs prints what the page shows."""
    for package in ("lmdb", "h5py", "matplotlib"):
        needs(package)
    Reader(tmp_path).follow(page)


def test_the_index_lists_every_page():
    """Thirteen pages, each listed once, each short."""
    listed = re.findall(r"\]\(guide/(\w+\.md)\)", INDEX.read_text(encoding="utf-8"))

    assert sorted(listed) == [page.name for page in PAGES]
    assert 13 == len(listed)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 140
        assert 2 * len(BLOCK.findall(text)) == len(re.findall("^```", text, re.MULTILINE))


@pytest.mark.parametrize(("shown", "printed", "same"), [
    ("a\n", "a\n", True), ("a\n", "b\n", False), ("a\n", "a\nb\n", False), ("a\n...\n", "a\nb\nc\n", True),
    ("...\nc\n", "a\nb\nc\n", True), ("...\nc\n", "c\nd\n", False), ("a … c\n", "a b c\n", True),
    ("loss = 0.5\n", "loss = 0.42\n", True), ("loss = 2.5\n", "loss = 0.42\n", False),
    ("Iteration 20\n", "Iteration 30\n", False), ("(2.5 iter/s)\n", "(300 iter/s)\n", True),
    ("I1128 19:52:21.145228  5145 s.cpp:1] x\n", "I0102 03:04:05.000006 7 s.cpp:1] x\n", True)])
def test_what_agrees(shown, printed, same):
    """Words and whole numbers are compared as they are, numbers with a decimal point with some play."""
    assert same == agree(shown, printed)
