"""Say what is in images, with a trained net.

  minicaffe classify deploy.prototxt net.caffemodel cat.jpg --labels names.txt
  minicaffe classify train_val.prototxt net.caffemodel photos/ --csv > out.csv
  minicaffe classify deploy.prototxt net.caffemodel '*.jpg' --mean 104,117,123

How images are prepared is taken from the data layer of a net that was trained and tested, or from a comment in a
deploy net, such as "# preprocessing: --gray --scale 0.00390625". Flags replace parts of it, and the first line printed
says what is done. If the net's test set is there, its first images are classified twice, prepared here and by the
net's own data layer, and the answers are compared.
"""

from __future__ import annotations

import argparse
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe.analysis.answers import YES_OR_NO
from minicaffe.analysis.classifier import Classifier
from minicaffe.cli.class_names import add_labels, names_of, unused_labels
from minicaffe.cli.classify_net import decoded, plan, prove
from minicaffe.cli.flags import files, positive
from minicaffe.cli.image_layer import Plan
from minicaffe.cli.preprocessing import add_preprocessing, given
from minicaffe.cli.results import csv_text, json_text
from minicaffe.cli.show import add_level_and_stage
from minicaffe.cli.terminal import complain, say
from minicaffe.cli.threads import add_threads, use_threads
from minicaffe.cli.user_code import add_user_code
from minicaffe.data.class_folders import SUFFIXES
from minicaffe.errors import DataError, MinicaffeError, NetError
from minicaffe.io.files import looked_in, missing_hint
from minicaffe.layout import terminal_width, wrap
from minicaffe.log import one_line, silent

LISTED = 20  # errors of images that are printed
PROVED = 8  # samples that are compared without --prove


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("net", metavar="NET", help="a deploy net, or the net that was trained and tested; "
                                                  "prototxt or YAML")
    parser.add_argument("weights", metavar="WEIGHTS", type=files,
                        help="the file with the learned weights; commas separate several")
    parser.add_argument("images", metavar="FILE", nargs="*",
                        help="images, folders of images, or patterns such as '*.jpg'")
    add_labels(parser)
    parser.add_argument("--top", metavar="N", type=positive, default=5,
                        help="number of classes to print for each image (default: 5)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV: file, rank, class, name, probability")
    parser.add_argument("--output", metavar="BLOB", default="",
                        help="the blob with the scores (default: what a loss reads, else the only output)")
    parser.add_argument("--prove", metavar="N", type=positive, nargs="?", const=100,
                        help="compare the answers for N samples of the test set, prepared here and by the net's data "
                             "layer (without N: 100), and fail if they differ; then no FILE is needed")
    add_preprocessing(parser)
    add_level_and_stage(parser)
    add_user_code(parser)
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    use_threads(args)
    if not args.images and args.prove is None:
        raise DataError("no image is given", hint="name image files, folders or patterns after the weights")
    paths = find_images(args.images)
    made = plan(args)
    with silent():
        classifier = Classifier(made.definition, made.preprocessing, args.weights, output=args.output,
                                any_size=args.resize == (), allow_python=not args.no_python)
    tell = complain if args.json or args.csv else say
    for line in _head(made, classifier):
        for part in wrap(line, terminal_width(), hanging="  "):
            tell(part)
    _prove(args, made, classifier, tell)
    if not paths:
        return 0
    bad: list[str] = []
    K = int(np.prod(classifier.net.blobs[classifier.answers.scores].shape[1:]))
    names = names_of(args.labels, K, made.samples)
    results = list(_classified(paths, made, classifier, bad))
    bad += [f"minicaffe: error: the answer to {path} is NaN" for path, p in results if np.isnan(p).any()]
    say(_report(args, results, names, made, classifier), end="")
    if hint := unused_labels(args.net, names) if not args.labels else "":
        for part in wrap(hint, terminal_width(), hanging="  "):
            tell(part)
    for message in bad[:LISTED]:
        complain(message)
    if len(bad) > LISTED:
        complain(f"minicaffe: error: and {len(bad) - LISTED} more of the {len(paths)} images have no answer")
    return 1 if bad else 0


def find_images(named: Sequence[str]) -> list[str]:
    """Return the image files that are meant: each named file, and in sorted order those in a folder or of a pattern.

    Raise DataError for a file that is not there, a pattern without a match, and a folder without images.
    """
    found: list[str] = []
    for name in named:
        place = Path(name)
        if place.is_dir():
            inside = sorted(os.path.join(folder, file) for folder, _, inner in os.walk(name) for file in inner
                            if file.lower().endswith(SUFFIXES) and not file.startswith("."))
            if not inside:
                raise DataError(f"the folder {name} holds no image",
                                hint=f"images are files that end in {', '.join(SUFFIXES)}")
            found += inside
        elif place.exists():
            found.append(name)
        else:
            matching = sorted(glob.glob(name, recursive=True)) if glob.has_magic(name) else []
            if not matching:
                what = "no file matches the pattern" if glob.has_magic(name) else "there is no file"
                raise DataError(f"{what} {name}", hint=missing_hint(place) or looked_in(name))
            found += [path for path in matching if os.path.isfile(path)]
    return found


def _head(made: Plan, classifier: Classifier) -> Iterator[str]:
    """Yield lines that say how images are prepared, and which blob holds the answers."""
    yield f"preprocessing: {made.preprocessing}"
    yield from made.remarks
    answers = classifier.answers
    what = "questions of yes or no" if answers.decides == YES_OR_NO else "classes"
    how = "" if not answers.plain else \
        ", whose sigmoid is taken" if answers.decides == YES_OR_NO else ", whose softmax is taken"
    yield f"output: {answers.scores!r}{how}; {what}"


def _prove(args: argparse.Namespace, made: Plan, classifier: Classifier, tell: Any) -> None:
    """Compare with the net's own data layer, if its source is there. Raise NetError if --prove finds a difference."""
    if made.samples is None:
        if args.prove is not None:
            raise NetError("--prove: the net has no data layer whose source is there: there is nothing to compare with",
                           hint="give the net that was trained and tested, in the folder in which it was")
        return
    agree, words = prove(args, made, classifier, args.prove or PROVED)
    if not agree and args.prove is not None:
        raise NetError(words, hint=f"{', '.join(given(args))} changed the preprocessing" if given(args) else "")
    for line in wrap(words, terminal_width(), hanging="  "):
        (tell if agree else complain)(line if agree else f"minicaffe: warning: {line}")


def _classified(paths: Sequence[str], made: Plan, classifier: Classifier,
                bad: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each image with its probabilities. What cannot be read or does not fit is added to `bad`, and left out."""
    images = ((decoded(path, made.preprocessing), path) for path in paths)
    for path, p in zip(paths, classifier.classify(images), strict=True):
        if isinstance(p, MinicaffeError):
            bad.append(f"minicaffe: error: {p}")
        else:
            yield path, p


def _report(args: argparse.Namespace, results: Sequence[tuple[str, np.ndarray]], names: Sequence[str], made: Plan,
            classifier: Classifier) -> str:
    """Return the results in the form that the flags ask for."""
    rows = [(path, [(int(k), names[int(k)], float(p[k])) for k in np.argsort(-p, kind="stable")[:args.top]])
            for path, p in results]
    if args.json:
        content = {"net": args.net, "weights": args.weights, "preprocessing": str(made.preprocessing),
                   "output": classifier.answers.scores,
                   "images": [{"file": path, "top": [{"class": k, "name": name, "p": p} for k, name, p in top]}
                              for path, top in rows]}
        return json_text(content)
    if args.csv:
        return csv_text([["file", "rank", "class", "name", "p"],
                         *([path, rank, k, name, f"{p:.6g}"] for path, top in rows
                           for rank, (k, name, p) in enumerate(top, 1))])
    width = terminal_width()
    lines: list[str] = []
    for path, top in rows:
        lines += ["", *wrap(one_line(path), width)]
        for k, name, p in top:
            label = name if name == str(k) else f"{name} ({k})"
            lines += wrap(f"{100 * p:6.2f} %  {one_line(label)}", width, "", " " * 10)
    return "\n".join([*lines, ""])
