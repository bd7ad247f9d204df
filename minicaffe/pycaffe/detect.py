"""Classify windows of images as Caffe's python/detect.py does: `python -m minicaffe.pycaffe.detect INPUT OUTPUT`.

With --crop_mode list, INPUT is a .csv file. Its first line names the columns filename, xmin, ymin, xmax and ymax, and
each further line is a window. OUTPUT gets a prediction for each window. A .csv file has the columns filename, ymin,
xmin, ymax, xmax and class0, class1 and so on. Any other name makes an HDF5 file with the datasets filename, window and
prediction.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe.errors import DataError
from minicaffe.io import hdf5
from minicaffe.io.file_bytes import read_file
from minicaffe.io.files import check_can_write, replace_file
from minicaffe.log import plural
from minicaffe.pycaffe import command_line
from minicaffe.pycaffe.command_line import Parser, add_flags, say, settings
from minicaffe.pycaffe.detector import Detector

PROG = "python -m minicaffe.pycaffe.detect"
EDGES = ("ymin", "xmin", "ymax", "xmax")


def main(argv: Sequence[str]) -> None:
    """Do what the words of the command line say. Raise MinicaffeError for a user's mistake."""
    args = _parser().parse_args(argv)
    check_can_write("OUTPUT", args.output_file)
    as_csv = args.output_file.lower().endswith("csv")
    if not as_csv:
        hdf5.require()  # rather now than after the work
    named = _read(args.input_file, args.crop_mode)
    options = settings(args)
    if options["mean"] is not None and options["mean"].ndim == 3:
        # windows have another shape than images, so the mean of each channel is subtracted
        options["mean"] = options["mean"].mean((1, 2))
    detector = Detector(context_pad=args.context_pad, **options)
    start = time.perf_counter()
    detections = detector.detect_windows(named.items()) if args.crop_mode == "list" else \
        detector.detect_selective_search(list(named))
    say(f"{plural(len(detections), 'window')} in {time.perf_counter() - start:.3f} s")
    (_write_csv if as_csv else _write_hdf5)(args.output_file, detections)
    say(f"The predictions are in {args.output_file}")


def _parser() -> Parser:
    parser = Parser(PROG, __doc__ or "")
    parser.add_argument("input_file", metavar="INPUT",
                        help="a .csv file of windows, or for selective search a .txt file with an image in each line")
    parser.add_argument("output_file", metavar="OUTPUT", help="the .csv or HDF5 file to write")
    add_flags(parser)
    parser.add_argument("--crop_mode", choices=("list", "selective_search"), default="selective_search",
                        help="list: the windows that INPUT names; selective_search (default, as in Caffe): windows "
                             "found by a package that runs in MATLAB")
    parser.add_argument("--context_pad", metavar="N", type=int, default=16,
                        help="how many pixels on each side of the net's input show the surroundings of the window "
                             "(default: 16)")
    return parser


def _read(path: str, crop_mode: str) -> dict[str, list[list[float]]]:
    """Return the images that a file names, each with its windows. Raise DataError where they are not there."""
    if not path.lower().endswith(("txt", "csv")):
        raise DataError(f"{path} is neither a .txt nor a .csv file")
    try:
        text = read_file(path, "the list of windows").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8: {error}") from error
    if path.lower().endswith("txt"):
        if crop_mode == "list":
            raise DataError(f"{path} names images without windows, but --crop_mode list needs those",
                            hint=f"give a .csv file with the columns filename, {', '.join(EDGES)}")
        return {line.strip(): [] for line in text.splitlines() if line.strip()}
    return _windows(text, path)


def _windows(text: str, path: str) -> dict[str, list[list[float]]]:
    rows = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    lacking = [name for name in ("filename", *EDGES) if name not in (rows.fieldnames or ())]
    if lacking:
        raise DataError(f"the first line names no column {', '.join(lacking)}", where=f"{path}:1",
                        hint="it names filename,xmin,ymin,xmax,ymax, in any order")
    found: dict[str, list[list[float]]] = {}
    for row in rows:
        try:
            window = [float(row[edge]) for edge in EDGES]
        except (TypeError, ValueError):
            window = []
        if not window or not all(map(math.isfinite, window)):
            raise DataError(f"a window has four numbers {', '.join(EDGES)}, got "
                            f"{', '.join(str(row[edge]) for edge in EDGES)}", where=f"{path}:{rows.line_num}")
        found.setdefault(row["filename"], []).append(window)
    if not found:
        raise DataError(f"{path} names no window")
    return found


def _write_csv(path: str, detections: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    classes = [np.ravel(one["prediction"]) for one in detections]
    table.writerow(["filename", *EDGES, *(f"class{k}" for k in range(len(classes[0]) if classes else 0))])
    for one, values in zip(detections, classes, strict=True):
        table.writerow([one["filename"], *(f"{edge:g}" for edge in one["window"]), *map(str, values)])
    replace_file(path, [text.getvalue().encode()])


def _write_hdf5(path: str, detections: Sequence[dict[str, Any]]) -> None:
    def write(file: Any) -> None:
        names = [str(one["filename"]).encode() for one in detections]
        file["filename"] = np.array(names, f"S{max(map(len, names), default=1)}")
        file["window"] = np.array([one["window"] for one in detections], float).reshape(-1, 4)
        file["prediction"] = np.array([np.ravel(one["prediction"]) for one in detections], np.float32)

    hdf5.write_file(path, write)


if __name__ == "__main__":
    command_line.run(PROG, main)
