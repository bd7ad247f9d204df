"""Turn a table into an HDF5 file for HDF5Data, with the list that names it.

  minicaffe convert_csv iris.csv iris.h5 --label species --test-part 0.2
  minicaffe convert_csv sensors.tsv sensors.h5 --label -1 --columns 2,3,4 --missing skip
  minicaffe convert_csv new.csv new.h5 --label species --labels labels.txt

OUT gets the datasets data (N, D) and label (N). Beside it, a file with OUT's name and the ending .txt is the list for
hdf5_data_param. Labels that are texts are sorted and numbered from 0 on, and labels.txt lists them in this order. A
column is given by its name or its number, from 1 on; -1 is the last.
"""

from __future__ import annotations

import argparse
from argparse import ArgumentTypeError
from pathlib import Path

from minicaffe.cli import progress
from minicaffe.cli.class_names import read_names
from minicaffe.cli.flags import filled, natural
from minicaffe.cli.terminal import say
from minicaffe.data import table_files
from minicaffe.data.lists import has_others, write_list
from minicaffe.data.tables import SEPARATORS, Options, number_in
from minicaffe.errors import DataError
from minicaffe.io.files import check_can_write, is_hdf5_name
from minicaffe.log import plural

SHOWN = 10  # labels that are printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", metavar="FILE", help="the table: text in UTF-8, whose cells may be quoted")
    parser.add_argument("out", metavar="OUT", help="the HDF5 file to write, such as iris.h5")
    parser.add_argument("--label", metavar="COLUMN", type=_columns, default=(), help="the column of the label; several "
                        "columns of numbers, separated by commas, make a label of several numbers")
    parser.add_argument("--columns", metavar="COLUMN,...", type=_columns, default=(), help="the columns of the data "
                        "(default: all but the label)")
    parser.add_argument("--without", metavar="COLUMN,...", type=_columns, default=(), help="columns to leave out, such "
                        "as one that numbers the rows")
    parser.add_argument("--test-part", metavar="PART", type=_part, default=0.0, help="put this part of the rows, such "
                        "as 0.2, drawn at random, into a second file for the test net: OUT's name with _test")
    parser.add_argument("--seed", metavar="N", type=natural, default=1, help="which rows those are follows "
                        "from it (default: 1)")
    parser.add_argument("--missing", metavar="WHAT", type=_missing, default="error", help="what to do with a cell that "
                        "is empty or says NA, NaN, null or ?: error (default), skip to leave out its row, or a number "
                        "to fill in")
    parser.add_argument("--normalize", action="store_true", help="shift and scale each column to a mean of 0 and a "
                        "deviation of 1 over OUT's rows; OUT keeps the numbers as the datasets mean and deviation")
    parser.add_argument("--labels", metavar="F", type=filled, help="take the numbers of labels from this file, one "
                        "label a line, such as the labels.txt of another table")
    parser.add_argument("--renumber", action="store_true",
                        help="number the labels from 0 on, as if they were texts; without this flag labels "
                        "that are numbers stay as they are")
    parser.add_argument("--separator", metavar="SIGN", choices=tuple(SEPARATORS), help="what separates cells: "
                        "',', ';' or tab (default: what the first line has most often)")
    parser.add_argument("--decimal", metavar="SIGN", choices=(".", ","), default=".",
                        help="the sign before a fraction: '.' (default) or ','")
    parser.add_argument("--header", action=argparse.BooleanOptionalAction, help="whether the first line names the "
                        "columns (default: yes if no cell of it is a number)")
    parser.add_argument("--replace", action="store_true", help="replace files that exist; without this flag that is an "
                        "error")


def run(args: argparse.Namespace) -> int:
    targets, lists = _names(args)
    labels = targets[0].with_name("labels.txt")
    options = Options(args.label, args.columns, args.without, args.separator or "", args.header, args.decimal,
                      args.missing, args.renumber, _labels(args.labels) if args.labels else ())

    def check(found: list[str]) -> None:
        """Refuse to replace another table's labels."""
        if found and not args.labels and not args.replace and has_others(labels, found):
            raise _exists(labels, "give --labels to take its numbers, write OUT into another folder, or replace it "
                                  "with --replace")

    with progress.counting() as follow:
        made = table_files.convert(args.table, options, [str(target) for target in targets], follow=follow,
                                   test_part=args.test_part, seed=args.seed, normalize=args.normalize, check=check)
    for target, path in zip(targets, lists, strict=True):
        write_list(str(path), [str(target)])
    if made.labels and not args.labels:
        write_list(str(labels), made.labels)
    _report(made, targets, lists, "" if args.labels else str(labels))
    return 0


def _names(args: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """Return the names of the HDF5 files and of their lists. Raise DataError where one of them cannot be used."""
    out = Path(args.out)
    if not is_hdf5_name(out):
        raise DataError(f"{out} must end in .h5 or .hdf5: an HDF5 file is written")
    targets = [out, out.with_name(f"{out.stem}_test{out.suffix}")][:2 if args.test_part else 1]
    lists = [target.with_suffix(".txt") for target in targets]
    if any(len(str(target).split()) != 1 for target in targets):  # HDF5Data's list separates its names by blanks
        raise DataError(f"the name {str(out)!r} must have no blanks: it stands in a list whose names they separate")
    for path in [*targets, *lists] if not args.replace else []:
        if path.exists():
            raise _exists(path)
    check_can_write("OUT", out)
    return targets, lists


def _labels(path: str) -> list[str]:
    """Return the labels in a file, one a line. Raise DataError where it cannot be read or has one of them twice."""
    labels = read_names(path)
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise DataError(f"--labels: the label {twice!r} stands there twice", where=path)
    return labels


def _report(made: table_files.Converted, targets: list[Path], lists: list[Path], labels: str) -> None:
    """Print what was written, and the layer that reads it."""
    for target, path, rows in zip(targets, lists, made.rows, strict=True):
        say(f"{target}: {plural(rows, 'row')} of {plural(len(made.columns), 'number')}"
            f"{', with labels' if made.labelled else ''}; its list is {path}")
    if not made.labelled:
        say("there are no labels: --label COLUMN says which column they are in")
    if made.labels and labels:
        shown = ", ".join(f"{i} {label}" for i, label in enumerate(made.labels[:SHOWN]))
        say(f"{labels}: {plural(len(made.labels), 'label')}, {shown}{', …' if len(made.labels) > SHOWN else ''}")
    if made.left_out:
        say(f"left out: {plural(made.left_out, 'row')} with missing values")
    for name in made.constant:
        say(f"column {name!r} has the same number in all rows, so it is 0 now")
    tops = 'top: "data" top: "label"' if made.labelled else 'top: "data"'
    say(f'layer {{ name: "data" type: "HDF5Data" {tops}\n'
        f'        hdf5_data_param {{ source: "{lists[0]}" batch_size: 32 shuffle: true }} }}')


def _exists(path: Path, hint: str = "delete it, choose another name, or replace it with --replace") -> DataError:
    return DataError(f"{path} exists already", hint=hint)


def _columns(text: str) -> list[str]:
    names = [name.strip() for name in filled(text).split(",")]
    if "" in names:
        raise ArgumentTypeError(f"expects columns, separated by commas, got {text!r}")
    return names


def _part(text: str) -> float:
    value = number_in(text, ".")
    if value is None or not 0 < value < 1:
        raise ArgumentTypeError(f"expects a number between 0 and 1, such as 0.2, got {text!r}")
    return value


def _missing(text: str) -> str | float:
    if text in ("error", "skip"):
        return text
    value = number_in(text, ".")
    if value is None:
        raise ArgumentTypeError(f"expects error, skip or a number, got {text!r}")
    return value
