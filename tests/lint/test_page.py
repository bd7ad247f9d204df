"""The page about the rules, docs/lint.md, against the rules' docstrings."""

import re

from test_docs import ROOT, generator

from minicaffe import lint


def test_the_page_is_what_the_rules_say():
    """The file docs/lint.md is not stale; `make docs` writes it anew."""
    made = generator()

    assert made.generate_lint() == made.LINT_TARGET.read_text(encoding="utf-8")


def test_the_page_has_every_rule():
    """Each rule has a section."""
    page = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")

    assert sorted(lint.rules()) == sorted(re.findall(r"^### ([\w-]+)$", page, re.MULTILINE))
