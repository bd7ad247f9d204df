"""Reading a whole file that must be an ordinary one."""

import os

import pytest

from minicaffe.io.file_bytes import read_ordinary


@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_all_bytes(size, tmp_path):
    """The content comes back whole, for small and for large files."""
    content = os.urandom(size)
    (tmp_path / "x").write_bytes(content)
    assert read_ordinary(tmp_path / "x") == content


def test_reads_that_give_less(tmp_path, monkeypatch):
    """A read may give less than was asked for; then the next one goes on, up to the end."""
    (tmp_path / "x").write_bytes(b"abc" * 50_000)
    read, asked = os.read, []
    monkeypatch.setattr(os, "read", lambda file, size: asked.append(size) or read(file, min(size, 70_000)))
    assert read_ordinary(tmp_path / "x") == b"abc" * 50_000
    assert len(asked) == 4


def test_what_is_no_file(tmp_path):
    """A folder, a missing file and a pipe that nobody writes to are errors at once."""
    with pytest.raises(IsADirectoryError):
        read_ordinary(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_ordinary(tmp_path / "x")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="it is a pipe or a device"):
            read_ordinary(tmp_path / "pipe")
