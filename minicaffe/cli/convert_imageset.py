"""Make an LMDB or a LevelDB of image files. A list names them, or they lie in a folder with a folder for each class.

  minicaffe convert_imageset images/ list.txt train_lmdb
  minicaffe convert_imageset --resize_height=256 --resize_width=256 images/ list.txt db
  minicaffe convert_imageset photos train_lmdb

Each line of the list is a path and a whole number, the label: 'cats/1.jpg 3'. ROOTFOLDER/ is put before each path as it
is, so it must end with a slash. Without a list, the classes are the sorted names of the folders in ROOTFOLDER, and
labels.txt beside the database gets these names, one a line. Keys and records are the same as those of Caffe's tool.
Switches may be given as Caffe takes them: --gray, --gray=true, --nogray.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from minicaffe import kernels
from minicaffe.cli import progress
from minicaffe.cli.flags import add_switch, natural, whole
from minicaffe.cli.new_database import add_backend, add_replace, check_backend, log_opened
from minicaffe.cli.skip_bad import add_skip_bad
from minicaffe.cli.threads import add_threads, use_threads
from minicaffe.data import imageset
from minicaffe.data.lists import has_others, write_list
from minicaffe.data.sources import new_database
from minicaffe.errors import DataError, MinicaffeError
from minicaffe.log import At, log, warn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="ROOTFOLDER/", help="what is put before each path of the list; or, without a "
                        "list, the folder of the class folders")
    parser.add_argument("list", metavar="LISTFILE", nargs="?", help="the list of images with their labels")
    parser.add_argument("target", metavar="DB", help="the database to make")
    add_switch(parser, "gray", "read the images as grey, with one channel")
    add_switch(parser, "shuffle", "write the records in a random order")
    parser.add_argument("--seed", metavar="N", type=natural, help="the order of --shuffle follows from this number "
                        "(default: 0)")
    parser.add_argument("--resize_width", metavar="N", type=whole, default=0,
                        help="resize all images to this width; both this and --resize_height must be given")
    parser.add_argument("--resize_height", metavar="N", type=whole, default=0,
                        help="resize all images to this height")
    add_switch(parser, "check_size", "stop at an image of another size than the first")
    add_switch(parser, "encoded", "store image files, not pixels; a file that needs no change is stored as it is")
    parser.add_argument("--encode_type", metavar="KIND", default="", help="the kind of image file to store, such as "
                        "png or jpg; it implies --encoded (default: what the end of each file's name says)")
    add_skip_bad(parser)
    add_threads(parser)
    add_backend(parser)
    add_replace(parser)


def run(args: argparse.Namespace) -> int:
    use_threads(args)
    check_backend(args.backend)
    form = _form(args)
    with progress.counting() as follow:
        images, classes = _images(args)
        if args.shuffle:
            images = imageset.shuffled(images, args.seed or 0)
        elif args.seed is not None:
            warn(At.IMAGESET_SHUFFLED, "--seed has no effect without --shuffle")
        log(At.IMAGESET_COUNTED, f"A total of {len(images)} images.")
        if args.encode_type and not args.encoded:
            log(At.IMAGESET_ENCODED, "encode_type specified, assuming encoded=true.")
        _warn(form)
        left_out: list[MinicaffeError] | None = [] if args.skip_bad else None
        with new_database(args.backend, args.target, replace=args.replace) as database:
            log_opened(args.backend, args.target)
            for key, datum in imageset.records(follow(images, len(images)), form, kernels.threads(), left_out):
                database.put(key, datum)
            if not database.count and left_out:
                raise DataError(f"none of the {len(images)} images could be read, so there is no database; the first: "
                                f"{left_out[0].message}", where=left_out[0].where, hint=left_out[0].hint)
            if classes:
                _write_labels(args.target, classes, args.replace)
        if database.count % imageset.REPORTED:
            log(At.IMAGESET_DONE, f"Processed {database.count} files.")
        if left_out:
            warn(At.IMAGESET_DONE, f"left out {len(left_out)} of {len(images)} images:",
                 lambda: "\n".join(f"  {error.where}: {error.message}" if error.where else f"  {error.message}"
                                   for error in left_out))
    return 0


def _images(args: argparse.Namespace) -> tuple[list[imageset.Listed], list[str]]:
    """Return the images, and the classes where they come from a folder of class folders."""
    if args.list is not None:
        return imageset.read_list(args.list, args.root, must_exist=not args.skip_bad), []
    if os.path.isfile(args.target):
        raise DataError(f"{args.target} is a file, and the name of the database is missing",
                        hint="give ROOTFOLDER/ LISTFILE DB, or without a list ROOTFOLDER DB")
    return imageset.read_folder(args.root)


def _form(args: argparse.Namespace) -> imageset.Form:
    """Return how files become records, as the flags say."""
    return imageset.Form(args.gray, max(0, args.resize_height), max(0, args.resize_width), args.encoded,
                         args.encode_type, args.check_size)


def _warn(form: imageset.Form) -> None:
    """Warn of flags that have no effect."""
    if form.given_size and not form.size:
        warn(At.IMAGESET_COUNTED, "the images keep their sizes: only --resize_height and --resize_width together "
                                  "change them")
    if form.gray and (form.encoded or form.encode_type) and not form.given_size:
        warn(At.IMAGESET_COUNTED, "--gray has no effect on files that are stored as they are: colour images stay so")


def _write_labels(target: str, classes: Sequence[str], replace: bool) -> None:
    """Write the names of the classes beside the database. Raise DataError where other ones are there."""
    path = Path(target).parent / "labels.txt"
    if not replace and has_others(path, classes):
        raise DataError(f"{path} exists and holds other classes: these are {', '.join(classes[:10])}",
                        hint="choose another folder for the database, or replace the file with --replace")
    write_list(path, classes)
