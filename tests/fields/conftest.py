"""Lets the tests of this folder import the tables beside them, and runs each in a folder of its own."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """The working folder of a test, where a solver may write and a layer's files may lie."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
