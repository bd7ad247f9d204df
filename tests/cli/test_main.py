"""`python -m minicaffe`, for where the program `minicaffe` is not on the path."""

import runpy
import sys

import pytest


@pytest.mark.parametrize(("argv", "status", "words"), [(["engines"], 0, "numpy"), (["engine"], 1, "'engines'")])
def test_it_is_the_program(argv, status, words, monkeypatch, capsys):
    """The same output and exit status."""
    monkeypatch.setattr(sys, "argv", ["__main__.py", *argv])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("minicaffe", run_name="__main__")

    assert status == ended.value.code
    assert words in "".join(capsys.readouterr())
