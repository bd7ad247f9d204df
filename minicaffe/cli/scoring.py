"""The flags of `minicaffe test` that judge each prediction, and what they print, write and draw."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minicaffe.analysis import answers, scores
from minicaffe.analysis.answers import YES_OR_NO
from minicaffe.analysis.data_tops import held_samples
from minicaffe.analysis.predictions import Mistake, Predicted, Predictions
from minicaffe.cli.class_names import add_labels, names_of, same_names
from minicaffe.cli.flags import positive
from minicaffe.cli.results import STDOUT, add_json, check_json, csv_text, write_json
from minicaffe.cli.terminal import say
from minicaffe.errors import NetError
from minicaffe.io.files import check_can_write, replace_file
from minicaffe.layout import NOTHING, table, terminal_width, wrap
from minicaffe.net import Net
from minicaffe.records import score_pictures
from minicaffe.records.picture import RED
from minicaffe.solvers.schedule import epochs

WORST = 24  # mistakes in the picture of them
LISTED = 40  # classes in the printed table; of more, those with the lowest F1


def add_scoring(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument("--scores", action="store_true",
                        help="print precision, recall, F1 and the number of samples of each class, over the whole test "
                             "set; --predictions, --confusion, --mistakes and --json do so too")
    parser.add_argument("--predictions", metavar="F", default="",
                        help="write a CSV file with a row for each sample: key, label, prediction, probabilities")
    parser.add_argument("--confusion", metavar="F", default="", help="draw the confusion matrix, a .png or .svg file")
    parser.add_argument("--mistakes", metavar="F", default="",
                        help="draw the wrong answers of which the net is most certain, a .png or .svg file")
    add_json(parser, "the scores")
    add_labels(parser)
    parser.add_argument("--top", metavar="N", type=positive, default=5,
                        help="number of classes in a row of --predictions (default: 5)")
    parser.add_argument("--output", metavar="BLOB", default="",
                        help="the blob with the scores (default: what the last loss reads, or Accuracy)")
    parser.add_argument("--label", metavar="BLOB", default="",
                        help="the blob with the labels (default: what the same layer reads)")


def wanted(args: argparse.Namespace) -> bool:
    """Return whether one of the flags asks for scores. Raise an error if a file that one names cannot be written."""
    for flag in ("--confusion", "--mistakes"):
        if path := getattr(args, flag[2:]):
            score_pictures.check_can_draw(flag, path)
    check_can_write("--predictions", args.predictions)
    check_json(args.json)
    asks = args.scores or args.predictions or args.confusion or args.mistakes or args.json
    if not asks and (given := [f"--{name}" for name in ("labels", "output", "label") if getattr(args, name)]):
        raise NetError(f"{given[0]} has no effect without --scores, --predictions, --confusion, --mistakes or --json")
    return bool(asks)


class Scoring:
    """Collects the predictions of a test, and reports them."""

    def __init__(self, net: Net, args: argparse.Namespace) -> None:
        self.net, self.args = net, args
        self.answers = answers.find(net.param, args.output, args.label)
        self.predictions = Predictions(net, self.answers, args.top, WORST if args.mistakes else 0)
        self.names = names_of(args.labels, self.predictions.outputs, held_samples(self.predictions.source()))
        self.size = next((reader.size for reader in epochs.readers(net)), None)
        if not self.answers.label and (args.confusion or args.mistakes or args.scores or args.json):
            raise NetError("scores need labels, and no layer of the net reads any", hint="--label BLOB names them")
        if args.confusion and self.answers.decides == YES_OR_NO:
            raise NetError("--confusion: the net answers questions of yes or no, so a sample may have several labels, "
                           "and there is no matrix of classes", hint="--scores prints the scores of each label")
        if args.predictions and self.predictions.cells_per_sample > 1:
            raise NetError(f"--predictions writes a row for each sample, but this net predicts "
                           f"{self.predictions.cells_per_sample} classes a sample, one for each place")

    def whole_epoch(self) -> int | None:
        """Return the number of batches of the whole test set; None where its size is not known."""
        return None if self.size is None else epochs.whole_test(self.net, 0, self.net.where())

    def add(self) -> None:
        """Take in a batch. Samples that come a second time do not count: the source has begun anew."""
        self.predictions.add(self._missing())

    def _missing(self) -> int | None:
        """Return how many samples of the test set have not come yet; None where its size is not known."""
        source = self.predictions.source()
        left_out = len(source.left_out) if source else 0  # those that cannot be read, with --skip-bad
        return None if self.size is None else self.size - self.predictions.samples - left_out

    def report(self) -> None:
        """Print the scores and write the files."""
        found = self.predictions.all()
        self._say("\n".join(self._head(found)))
        made = self._judged(found) if found.labels.size else {}
        if self.args.predictions:
            rows = _csv_rows(found, self.answers.decides, self.names)
            replace_file(self.args.predictions, [csv_text(rows).encode()])
            self._say(f"predictions in {self.args.predictions}")
        if self.args.json:
            content = {"samples": self.predictions.samples, "of": self.size, "output": self.answers.scores,
                       "label": self.answers.label, **made}
            write_json(self.args.json, content)
            self._say(f"scores in {self.args.json}")
        if self.args.mistakes:
            self._draw_mistakes()

    def _say(self, text: str) -> None:
        """Print a text, unless stdout is to hold JSON alone."""
        if self.args.json != STDOUT:
            say(text)

    def _head(self, found: Predicted) -> Iterator[str]:
        """Yield lines that say which samples and blobs the scores are about."""
        a, count = self.answers, self.predictions.samples
        missing = self._missing()
        of = "" if self.size is None else ", all of the test set" if count == self.size else f" of {self.size}"
        by = f", which layer {a.layer!r} reads" if a.layer else ""
        labels = f" against {a.label!r}" if a.label else ""
        yield from wrap(f"{count} samples{of}; {a.scores!r}{labels}{by}", terminal_width())
        if self.size is not None and missing:
            batch = epochs.readers(self.net)[0].batch
            yield from wrap(f"not counted: {missing} samples; leave --iterations out, or give "
                            f"{-(-self.size // batch)}, for all", terminal_width())
        if left_out := int((~found.counted).sum()) if found.labels.size else 0:
            yield f"left out: {left_out} with the label {a.ignore_label}, which is ignored"
        if without := self.predictions.without_answer:
            yield from wrap(f"warning: the answers to {without} of these samples are NaN, so the scores mean little",
                            terminal_width())
        if a.others and not self.args.output:
            yield from wrap(f"other blobs with scores, for --output: {', '.join(a.others)}", terminal_width())

    def _judged(self, found: Predicted) -> dict[str, Any]:
        """Print the scores, draw the confusion matrix, and return what the JSON file holds."""
        if self.answers.decides == YES_OR_NO:
            by_label = scores.label_scores(found.labels >= 0.5, found.p, found.counted)
            self._say("\n".join(_label_table(by_label, self.names)))
            return _as_json(by_label, self.names)
        kept = found.counted
        matrix = scores.confusion(found.labels[kept], found.top[kept, 0], self.predictions.outputs)
        by_class = scores.class_scores(matrix)
        self._say("\n".join(_class_table(by_class, self.names)))
        if self.args.confusion:
            title = f"{int(matrix.sum())} samples, {100 * by_class.accuracy:.1f} % right"
            score_pictures.draw_confusion(self.args.confusion, matrix, self.names, title)
            self._say(f"confusion matrix in {self.args.confusion}")
        return {**_as_json(by_class, self.names), "confusion": matrix.tolist()}

    def _draw_mistakes(self) -> None:
        """Draw the worst mistakes, or say that there is none."""
        mistakes = self.predictions.mistakes
        if not mistakes:
            self._say("no picture of mistakes: there is none")
            return
        images = [(one.image, _caption(one, self.names), RED) for one in mistakes]
        score_pictures.draw_images(self.args.mistakes, score_pictures.in_rows(images),
                                   f"the {len(images)} mistakes of which the net is most certain")
        self._say(f"the worst mistakes in {self.args.mistakes}")


def _caption(one: Mistake, names: Sequence[str]) -> str:
    """Return the lines above the picture of a mistake: the key, what was said, what is right."""
    def short(text: str) -> str:
        return score_pictures.shorten(text, 20)

    said = f"{100 * one.confidence:.1f} %"
    if one.question is None:
        return f"{score_pictures.end_of(one.key)}\n{short(names[one.predicted])} {said}\nis {short(names[one.label])}"
    predicted, label = ("yes" if answer else "no" for answer in (one.predicted, one.label))
    return f"{score_pictures.end_of(one.key)}\n{short(names[one.question])}: {predicted} {said}\nis {label}"


def _share(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:.4f}"


def _class_table(made: scores.ClassScores, names: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the scores of classes."""
    order = list(range(len(names)))
    if len(order) > LISTED:
        order = np.argsort(np.nan_to_num(made.f1, nan=2), kind="stable")[:LISTED].tolist()
        yield from wrap(f"the {LISTED} of {len(names)} classes with the lowest F1; --json writes all", terminal_width())
    rows: list[Sequence[str]] = [("class", "precision", "recall", "F1", "samples")]
    rows += [(names[k], _share(made.precision[k]), _share(made.recall[k]), _share(made.f1[k]), str(made.support[k]))
             for k in order]
    total = str(made.support.sum())
    rows += [("mean (macro)", *map(_share, made.macro), total), ("weighted", *map(_share, made.weighted), total)]
    yield from table(rows, right=(1, 2, 3, 4))
    yield f"accuracy {_share(made.accuracy)}"


def _label_table(made: scores.LabelScores, names: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the scores of labels."""
    order = list(range(len(names)))
    if len(order) > LISTED:
        order = np.argsort(np.nan_to_num(made.average_precision, nan=2), kind="stable")[:LISTED].tolist()
        yield from wrap(f"the {LISTED} of {len(names)} labels with the lowest average precision; --json writes all",
                        terminal_width())
    rows: list[Sequence[str]] = [("label", "precision", "recall", "F1", "AP", "best F1", "from p", "samples")]
    rows += [(names[k], *(_share(float(values[k])) for values in
                          (made.precision, made.recall, made.f1, made.average_precision, made.best_f1, made.threshold)),
              str(made.support[k])) for k in order]
    rows += [("mean (macro)", *map(_share, made.macro), _share(made.mean_average_precision), "", "", ""),
             ("all answers (micro)", *map(_share, made.micro), "", "", "", "")]
    yield from table(rows, right=range(1, 8))
    yield f"mean average precision (mAP) {_share(made.mean_average_precision)}"
    yield f"Hamming loss {_share(made.hamming_loss)}"


def _as_json(made: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return scores as JSON holds them."""
    return {"names": list(names), **{key: value.tolist() if isinstance(value, np.ndarray) else value
                                     for key, value in vars(made).items()}}


def _csv_rows(found: Predicted, decides: str, names: Sequence[str]) -> Iterator[list[object]]:
    """Yield the head of the CSV file of predictions, then a row for each sample."""
    yield from _label_rows(found, names) if decides == YES_OR_NO else _class_rows(found, names)


def _label_rows(found: Predicted, names: Sequence[str]) -> Iterator[list[object]]:
    """Yield the rows for a net that answers yes or no: each probability, then what is right, where that is known."""
    labelled = bool(found.labels.size)
    yield ["key", *(f"p({name})" for name in names), *(names if labelled else ())]
    for i, key in enumerate(found.keys):
        yield [key, *(f"{p:.6g}" for p in found.p[i]), *(f"{t:g}" for t in (found.labels[i] if labelled else ()))]


def _class_rows(found: Predicted, names: Sequence[str]) -> Iterator[list[object]]:
    """Yield the rows for a net that names one class. Beside the numbers of classes stand their names, where known."""
    labelled, named = bool(found.labels.size), not same_names(names)
    tops = [f"{what}_{k + 1}" for k in range(found.top.shape[1]) for what in ("top", "p")]
    yield ["key", "label", "prediction", "right", *(["label_name", "prediction_name"] if named else []), *tops]
    for i, key in enumerate(found.keys):
        best = int(found.top[i, 0])
        label = int(found.labels[i]) if labelled else None
        right = "" if label is None or not found.counted[i] else int(label == best)
        known = names[label] if label is not None and 0 <= label < len(names) else ""
        pairs = [value for k, p in zip(found.top[i], found.p[i], strict=True)
                 for value in (names[k] if named else int(k), f"{p:.6g}")]
        words = [known, names[best]] if named else []
        yield [key, "" if label is None else label, best, right, *words, *pairs]
