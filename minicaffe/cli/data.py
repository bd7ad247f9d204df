"""Look at a source before you train on it: count, shapes, types, labels, means, duplicates, and a sheet of images.

  minicaffe data photos/                            a folder with a folder for each class
  minicaffe data train_lmdb --check                 read all: find duplicates, and what cannot be read
  minicaffe data train.txt --root images/ --sheet s.png         a list of images, and some of them as a picture
  minicaffe data net.prototxt --phase TEST --sheet s.png        what a net's data layer reads, before and after it

A source is an LMDB or LevelDB, a list of images, a folder or tar of class folders, a list of HDF5 files or one such
file, an IDX file, or a net. Only some samples of a large source are read, spread evenly, unless --all or --check is
given. With --check the exit status is 1 if a sample cannot be read.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minicaffe.cli import progress
from minicaffe.cli.class_names import add_labels, read_names
from minicaffe.cli.data_layer import DataLayer, See, is_net, open_layer
from minicaffe.cli.flags import positive
from minicaffe.cli.preprocessing import add_preprocessing, apply_flags, given
from minicaffe.cli.results import STDOUT, add_json, check_json, write_json
from minicaffe.cli.show import add_state_arguments
from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.data.batches import Sample
from minicaffe.data.opened import Opened, open_samples
from minicaffe.data.preprocess import Preprocessing
from minicaffe.data.survey import Moments, Stored, Survey, spread, stored, survey
from minicaffe.errors import DataError, MinicaffeError, NetError
from minicaffe.layout import table, terminal_width, wrap
from minicaffe.log import number, one_line, plural, shape_text
from minicaffe.records import score_pictures
from minicaffe.records.picture import RED

READ = 1000  # samples of a large source
SHOWN = 8  # images in a row of the sheet
LISTED = 30  # labels, duplicates and errors that are printed
MOST_CLASSES = 5000  # labels; more different ones are numbers to be estimated, not classes
BAR = 24  # characters of the longest bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FILE", help="the source, or a net")
    parser.add_argument("--root", metavar="DIR", default="",
                        help="the folder in which the paths of a list begin; it is put before each, as root_folder is")
    parser.add_argument("--layer", metavar="NAME", default="", help="which data layer of a net (default: the first)")
    add_labels(parser)
    parser.add_argument("--samples", metavar="N", type=positive, default=READ,
                        help=f"number of samples to read of a larger source (default: {READ})")
    parser.add_argument("--all", action="store_true", help="read all samples")
    parser.add_argument("--check", action="store_true",
                        help="read all samples, and list those that cannot be read and those with the same content")
    parser.add_argument("--sheet", metavar="F", default="",
                        help="draw some samples, a .png or .svg file; where a net or preprocessing is given, also what "
                             "the net sees")
    add_json(parser, "everything")
    add_state_arguments(parser)
    add_preprocessing(parser)
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    if args.sheet:
        score_pictures.check_can_draw("--sheet", args.sheet)
    check_json(args.json)
    net = is_net(args.source)
    if not net and args.layer:
        raise NetError(f"--layer {args.layer}: {args.source} is no net")
    opened, layer = open_layer(args) if net else (
        open_samples(args.source, root=args.root, color=False if args.gray else None), None)
    if args.labels:
        opened.classes = read_names(args.labels)
    see = _seen_by(layer, args)
    count = len(opened.samples)
    numbers = list(range(count)) if args.all or args.check else spread(count, args.samples, opened.run)
    kept = stored(opened.samples)
    with progress.counting() as follow:
        found = survey(opened.samples, numbers, args.check, follow)
    if args.json != STDOUT:
        say("\n".join(lines(args.source, opened, found, args.check, kept)))
    if args.json:
        write_json(args.json, _as_json(args.source, opened, found, kept))
    if args.sheet:
        draw_sheet(args.sheet, args.source, opened, see)
        if args.json != STDOUT:
            say(f"sheet of samples in {args.sheet}")
    return 1 if args.check and found.unreadable else 0


def lines(source: str, opened: Opened, found: Survey, checked: bool, kept: Stored | None = None) -> Iterator[str]:
    """Yield what a survey found, as lines that fit the terminal."""
    width = terminal_width()
    yield from wrap(f"{one_line(source)}: {opened.kind}, {plural(found.count, 'sample')}", width)
    for remark in opened.remarks:
        yield from wrap(remark, width)
    if not found.whole:
        yield from wrap(f"read {found.read} of them, spread evenly; --all reads all", width)
    yield from wrap("shapes: " + _shapes(found.shapes), width, hanging="  ")
    yield from wrap("numbers: " + _counted(found.types, str), width, hanging="  ")
    for line in _stored_lines(kept) if kept else ():
        yield from wrap(line, width, hanging="  ")
    if opened.labelled:
        yield ""
        yield from _label_lines(found.labels, opened.classes, width)
    for channels, moments in found.moments.items():
        yield ""
        yield from table(_moment_rows(channels, moments, found), right=(1, 2, 3, 4))
    if found.not_finite:
        yield from wrap(f"NaN or infinity: in {plural(len(found.not_finite), 'sample')}, the first "
                        f"{one_line(found.not_finite[0])}; the table leaves them out", width)
    if checked or found.unreadable:
        yield ""
        yield from _bad_lines(found, width)
    if checked:
        yield from _duplicate_lines(found.duplicates, width)


def _stored_lines(kept: Stored) -> Iterator[str]:
    """Yield how the images are stored, and what their EXIF data asks for."""
    share = "all" if kept.encoded == kept.looked_at else f"{kept.encoded} of the {kept.looked_at} looked at"
    yield "stored as: " + (f"encoded images such as JPEG ({share})" if kept.encoded else "numbers, not encoded")
    if kept.turned:
        does = "The data layer does so." if kept.turns else \
            "The data layer Data does not do so, and ImageData does; with force_color or force_gray Data does it, too."
        yield f"EXIF: {kept.turned} of {plural(kept.encoded, 'image')} looked at say that they are to be turned. {does}"


def _shapes(shapes: Counter[tuple[int, ...]]) -> str:
    """Return the shapes in words; of many different images the smallest and largest sizes."""
    if len(shapes) < 5 or {len(shape) for shape in shapes} != {3}:
        return _counted(shapes, shape_text)
    channels, heights, widths = (sorted(set(sizes)) for sizes in zip(*shapes, strict=True))
    return (f"{len(shapes)} different: {' or '.join(map(str, channels))} channels, "
            f"height {heights[0]} to {heights[-1]}, width {widths[0]} to {widths[-1]}")


def _counted(counts: Counter[Any], text: Any) -> str:
    """Return 'all 3×4', or '20 of 3×4, 1 of 3×5' with the most frequent first."""
    if len(counts) == 1:
        return f"all {text(next(iter(counts)))}"
    shown = counts.most_common(6)
    more = f", and {len(counts) - len(shown)} more" if len(counts) > len(shown) else ""
    return (", ".join(f"{n} of {text(what)}" for what, n in shown) + more) or "none could be read"


def _label_lines(labels: Counter[Any], classes: Sequence[str], width: int) -> Iterator[str]:
    """Yield what is known of the labels: for whole numbers a histogram, else a summary."""
    if any(isinstance(label, tuple) for label in labels):
        yield from _vector_lines(labels)
    elif not all(isinstance(label, int) for label in labels) or len(labels) > MOST_CLASSES:
        yield from _number_lines(np.array(list(labels.elements()), float), width)
    elif labels:
        yield from _class_lines(labels, classes, width)


def _number_lines(values: np.ndarray, width: int) -> Iterator[str]:
    """Yield the range, the mean and the deviation of labels that are any numbers."""
    if unknown := int(np.isnan(values).sum()):
        yield f"labels that are NaN, which no net can learn: {unknown}"
        values = values[~np.isnan(values)]
    if values.size:
        low, high, mean, deviation = map(number, (values.min(), values.max(), values.mean(), values.std()))
        yield from wrap(f"labels: {plural(len(np.unique(values)), 'different number')} from {low} to {high}, mean "
                        f"{mean}, deviation {deviation}", width)


def _class_lines(labels: Counter[int], classes: Sequence[str], width: int) -> Iterator[str]:
    """Yield how many labels there are and which of them no sample has, then the histogram."""
    least, most = min(labels.values()), max(labels.values())
    between = f"{plural(least, 'sample')} each" if least == most else f"{least} to {most} samples each"
    ends = f" {min(labels)} to {max(labels)}" if len(labels) > 1 else f" {min(labels)}"
    yield from wrap(f"{plural(len(labels), 'label')},{ends}, {between}", width)
    missing = sorted(set(range(max(labels))) - set(labels)) if max(labels) < 100_000 else []
    if 0 < len(missing) <= len(labels):  # more are missing where labels are no numbers of classes
        shown = ", ".join(map(str, missing[:10])) + (", …" if len(missing) > 10 else "")
        yield from wrap(f"labels without a sample: {shown}", width)
    chosen = sorted(labels)
    if len(chosen) > LISTED:
        ordered = sorted(labels, key=lambda label: (-labels[label], label))
        chosen = ordered[:LISTED // 2] + ordered[-(LISTED // 2):]
        yield from wrap(f"the {LISTED // 2} most frequent ones and the {LISTED // 2} rarest; --json writes all", width)
    yield from _histogram(labels, chosen, classes)


def _histogram(labels: Counter[int], chosen: Sequence[int], classes: Sequence[str]) -> Iterator[str]:
    """Yield a row for each of the chosen labels: its name where it has one, its samples, their share, and a bar."""
    total, most = labels.total(), max(labels.values())
    rows: list[Sequence[str]] = [("label", "name", "samples", "share", "")] if classes else \
        [("label", "samples", "share", "")]
    for label in chosen:
        n = labels[label]
        named = (classes[label] if 0 <= label < len(classes) else "",) if classes else ()
        rows.append((str(label), *named, str(n), f"{100 * n / total:.1f} %", "#" * max(1, round(BAR * n / most))))
    yield from table(rows, right=(0, 2, 3) if classes else (0, 1, 2))


def _vector_lines(labels: Counter[Any]) -> Iterator[str]:
    """Yield a row for each place of labels that have several numbers."""
    sizes = Counter(len(label) if isinstance(label, tuple) else 1 for label in labels.elements())
    yield "labels of several numbers: " + _counted(sizes, str)
    size = sizes.most_common(1)[0][0]
    values = np.array([label for label in labels.elements() if isinstance(label, tuple) and len(label) == size], float)
    rows: list[Sequence[str]] = [("place", "mean", "deviation", "least", "largest", "not 0")]
    for k in range(min(size, LISTED)):
        column = values[:, k]
        rows.append((str(k), *map(number, (column.mean(), column.std(), column.min(), column.max())),
                     f"{100 * (column != 0).mean():.1f} %"))
    yield from table(rows, right=range(6))
    if size > LISTED:
        yield f"and {size - LISTED} more places"


def _moment_rows(channels: int, moments: Moments, found: Survey) -> list[Sequence[str]]:
    """Return a row for each channel of an image, or for each column of a table: mean, deviation, range."""
    images = any(len(shape) == 3 for shape in found.shapes)
    colors = {3: ["0 (blue)", "1 (green)", "2 (red)"]} if images else {}
    names = {1: ["all"], **colors}.get(channels, [str(k) for k in range(channels)])
    what = "channel" if images else "column"
    head = what if len(found.moments) == 1 else f"{what} of {channels}"
    return [(head, "mean", "deviation", "least", "largest"),
            *((name, *map(number, values)) for name, *values in
              zip(names, moments.mean, moments.deviation, moments.least, moments.largest, strict=True))]


def _bad_lines(found: Survey, width: int) -> Iterator[str]:
    """Yield a line for each sample that cannot be read."""
    if not found.unreadable:
        yield "all samples can be read" if found.whole else "all of these samples can be read"
        return
    yield f"{plural(len(found.unreadable), 'sample')} cannot be read:"
    for _, error in found.unreadable[:LISTED]:
        yield from wrap(one_line(f"{error.where}: {error.message}" if error.where else error.message), width, "  ",
                        "      ")
    if len(found.unreadable) > LISTED:
        yield f"  and {len(found.unreadable) - LISTED} more; --json lists all"
    if hint := found.unreadable[0][1].hint:
        yield from wrap(one_line(f"hint for the first: {hint}"), width, "  ", "      ")


def _duplicate_lines(groups: Sequence[Sequence[tuple[str, Any]]], width: int) -> Iterator[str]:
    """Yield a line for each group of samples with the same content."""
    if not groups:
        yield "no two samples have the same content"
        return
    torn = sum(len({label for _, label in group}) > 1 for group in groups)
    yield from wrap(f"{sum(map(len, groups))} samples in {plural(len(groups), 'group')} have the same content"
                    + (f", in {torn} of these with different labels" if torn else "") + ":", width)
    for group in sorted(groups, key=lambda group: len({label for _, label in group}) < 2)[:LISTED]:
        shown = ", ".join(f"{one_line(key)} ({label})" for key, label in group[:6])
        more = f", and {len(group) - 6} more" if len(group) > 6 else ""
        yield from wrap(f"{shown}{more}", width, "  ", "      ")
    if len(groups) > LISTED:
        yield f"  and {len(groups) - LISTED} more groups; --json lists all"


def _as_json(source: str, opened: Opened, found: Survey, kept: Stored | None) -> dict[str, Any]:
    """Return everything that was found as JSON holds it."""
    return {
        "source": source, "kind": opened.kind, "count": found.count, "read": found.read,
        "shapes": [{"shape": list(shape), "samples": n} for shape, n in found.shapes.most_common()],
        "types": dict(found.types.most_common()), "stored": vars(kept) if kept else None,
        "labels": [{"label": list(label) if isinstance(label, tuple) else label, "samples": n,
                    **({"name": opened.classes[label]} if isinstance(label, int) and 0 <= label < len(opened.classes)
                       else {})} for label, n in sorted(found.labels.items(), key=lambda one: (-one[1], str(one[0])))],
        "channels": [{"channels": channels, "mean": m.mean.tolist(), "deviation": m.deviation.tolist(),
                      "least": m.least.tolist(), "largest": m.largest.tolist()}
                     for channels, m in found.moments.items()],
        "not_finite": found.not_finite,
        "unreadable": [{"number": k, "error": one_line(f"{error.where}: {error.message}".removeprefix(": "))}
                       for k, error in found.unreadable],
        "duplicates": [[{"key": key, "label": label} for key, label in group] for group in found.duplicates]}


def _seen_by(layer: DataLayer | None, args: argparse.Namespace) -> See | None:
    """Return the function that gives what a net sees of a sample; None where neither a net nor a flag says how."""
    if given(args):
        preprocessing = apply_flags(layer.preprocessing if layer else Preprocessing(), args)
        return lambda sample, number: preprocessing([sample.image], [sample.name])[0]
    return layer.see if layer else None


def draw_sheet(path: str, source: str, opened: Opened, see: See | None) -> None:
    """Draw samples that are spread evenly, and below each row what the net sees, where that is known."""
    numbers = spread(len(opened.samples), 2 * SHOWN)
    found = zip(numbers, opened.samples.load(numbers), strict=True)
    samples = [(k, one) for k, one in found if isinstance(one, Sample) and one.image.ndim == 3]
    if not samples:
        raise DataError(f"--sheet: {source} holds no images")
    rows: list[tuple[str, list[tuple[Any, str, str]]]] = []
    for start in range(0, len(samples), SHOWN):
        part = samples[start:start + SHOWN]
        rows.append(("in the source", [(s.image, _caption(s, opened.classes), "black") for _, s in part]))
        if see is not None:
            rows.append(("into the net", [_seen(see, s, k) for k, s in part]))
    score_pictures.draw_images(path, rows, f"{one_line(source)[-60:]}: {len(samples)} of {len(opened.samples)} samples")


def _seen(see: See, sample: Sample, place: int) -> tuple[Any, str, str]:
    """Return what the net sees of a sample, with its shape and range, or no image and why there is none."""
    try:
        y = see(sample, place)
    except MinicaffeError as error:
        return None, "\n".join(wrap(one_line(error.message), 30)[:5]), RED
    return y, f"{shape_text(y.shape)}\n{number(float(y.min()))} to {number(float(y.max()))}", "black"


def _caption(sample: Sample, classes: Sequence[str]) -> str:
    """Return the lines above a sample: its key, its label, its shape."""
    label = sample.label
    if isinstance(label, Sequence):
        text = "label " + ", ".join(f"{one:g}" for one in label[:4]) + (", …" if len(label) > 4 else "")
    elif int(label) == label and 0 <= int(label) < len(classes):
        text = f"{int(label)}: {score_pictures.shorten(classes[int(label)], 18)}"
    else:
        text = f"label {label:g}"
    return f"{score_pictures.end_of(sample.key)}\n{text}\n{shape_text(sample.image.shape)}"
