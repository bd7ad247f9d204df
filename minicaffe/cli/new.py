"""Write a net, a solver and data that train at once, as a beginning for a net of your own.

  minicaffe new lenet shirts
  cd shirts
  minicaffe train --solver solver.prototxt

Nothing is downloaded. Each folder has a README.md that says what is in it, and how to put your own data in its place.

  lenet          small grey images in ten classes, from an LMDB
  cifar          small colour images in ten classes, from an LMDB
  mlp            a table: rows of numbers in three classes, from HDF5
  finetune       five classes with few images, for a net that already knows five others
  siamese        pairs of images that are similar or not; two copies of a net share their weights
  autoencoder    images without labels, described by 32 numbers
  multilabel     images with several labels each, from HDF5
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from minicaffe.cli import new_data
from minicaffe.cli.flags import filled
from minicaffe.cli.terminal import say
from minicaffe.errors import DataError, MinicaffeError, near_names
from minicaffe.io.files import temporary
from minicaffe.layout import entry, terminal_width

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", help=f"what to begin with: {', '.join(new_data.MAKERS)}")
    parser.add_argument("folder", metavar="DIR", type=filled, help="the folder to write; it must be new or empty")


def run(args: argparse.Namespace) -> int:
    kind, folder = args.kind, Path(args.folder)
    if kind not in new_data.MAKERS:
        raise MinicaffeError(f"there is no template {kind!r}", hint=near_names(kind, list(new_data.MAKERS))
                             or f"there are {', '.join(new_data.MAKERS)}")
    with _all_or_nothing(folder) as made:
        shutil.copytree(TEMPLATES / kind, made, dirs_exist_ok=True)
        written = {path.name: "" for path in sorted(made.iterdir())} | new_data.MAKERS[kind](made)
    _tell(folder, written)
    return 0


@contextlib.contextmanager
def _all_or_nothing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to write into, whose content is in `folder` once the block ends without an error.

    Raise a DataError where `folder` holds anything: no file is ever overwritten.
    """
    exists = folder.exists()
    if exists and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} {'is not empty' if folder.is_dir() else 'is a file'}",
                        hint="give a folder that is new or empty")
    # An existing folder may be the one in which the user's shell is, so it is filled and not replaced.
    made = temporary(folder / "new" if exists else folder.absolute())
    try:
        made.mkdir(parents=True)
        yield made
        if not exists:
            made.rename(folder)
            return
        for path in made.iterdir():
            path.rename(folder / path.name)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _tell(folder: Path, written: dict[str, str]) -> None:
    """Say what is in the folder, and how to go on."""
    width, column = terminal_width(80), max(map(len, written)) + 4
    say(f"In {folder}:")
    for name, what in written.items():
        say("\n".join(entry(name, what or PURPOSE.get(name, ""), column, width)))
    change = "" if os.path.samefile(folder, ".") else f"  cd {folder}\n"
    say(f"\nTo train it:\n{change}  minicaffe train --solver solver.prototxt")


PURPOSE = {
    "README.md": "how to train and test it, and how to use your own data",
    "net.prototxt": "the net, with comments",
    "solver.prototxt": "how it is trained, with comments",
    "pretrained.prototxt": "the net whose weights fine-tuning begins with",
    "pretrained_solver.prototxt": "how that net was trained"}
