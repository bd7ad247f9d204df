"""Classify images as Caffe's python/classify.py does: `python -m minicaffe.pycaffe.classify INPUT OUTPUT.npy`.

INPUT is an image, a folder of images, or a .npy file of images (N, height, width, channels) with values from 0 to 1.
OUTPUT.npy gets the probabilities (N, classes). `minicaffe classify` prints the classes with their names instead.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minicaffe.errors import DataError
from minicaffe.io.files import check_can_write, replace_file
from minicaffe.log import plural
from minicaffe.pycaffe import command_line
from minicaffe.pycaffe.classifier import Classifier
from minicaffe.pycaffe.command_line import Parser, add_flags, read_npy, say, settings, whole_numbers
from minicaffe.pycaffe.io import load_image

PROG = "python -m minicaffe.pycaffe.classify"


def main(argv: Sequence[str]) -> None:
    """Do what the words of the command line say. Raise MinicaffeError for a user's mistake."""
    args = _parser().parse_args(argv)
    # as numpy.save, with which Caffe writes it, names the file
    output = args.output_file if args.output_file.endswith(".npy") else f"{args.output_file}.npy"
    check_can_write("OUTPUT", output)
    if len(args.images_dim) != 2:
        raise DataError(f"--images_dim expects two numbers, as in 256,256, and got {len(args.images_dim)}")
    classifier = Classifier(image_dims=args.images_dim, **settings(args))
    say(f"Reading {args.input_file}")
    color = classifier.blobs[classifier.inputs[0]].shape[1] != 1
    images = _images(os.path.expanduser(args.input_file), args.ext, color)
    say(f"Classifying {plural(len(images), 'image')}")
    start = time.perf_counter()
    predictions = classifier.predict(images, not args.center_only)
    say(f"Done in {time.perf_counter() - start:.2f} s")
    content = io.BytesIO()
    np.save(content, predictions)
    replace_file(output, [content.getbuffer()])
    say(f"The probabilities are in {output}")


def _parser() -> Parser:
    parser = Parser(PROG, __doc__ or "")
    parser.add_argument("input_file", metavar="INPUT", help="an image, a folder or a .npy file")
    parser.add_argument("output_file", metavar="OUTPUT.npy", help="the file to write")
    add_flags(parser)
    parser.add_argument("--center_only", action="store_true",
                        help="classify the middle of each image alone, not the mean over ten crops of it")
    parser.add_argument("--images_dim", metavar="H,W", type=whole_numbers, default=[256, 256],
                        help="resize an image to this before it is cropped to the net's input (default: 256,256)")
    parser.add_argument("--ext", default="jpg", help="how the names of a folder's images end (default: jpg)")
    return parser


def _images(path: str, ext: str, color: bool) -> Sequence[np.ndarray] | np.ndarray:
    """Return the images (H, W, K) in a file or a folder. Raise DataError where there is none."""
    if path.endswith("npy"):
        images = read_npy(path, "the file of images")
        if images.ndim != 4 or not len(images):
            raise DataError(f"{path} holds an array of the shape {images.shape}, but images have (N, height, width, "
                            "channels)")
        return images
    if not os.path.isdir(path):
        return [load_image(path, color)]
    files = sorted(file for file in Path(path).iterdir() if file.name.endswith(f".{ext}"))
    if not files:
        kinds = sorted({file.suffix[1:] for file in Path(path).iterdir() if file.suffix})
        raise DataError(f"the folder {path} has no file that ends in .{ext}",
                        hint=f"--ext {kinds[0]}" if len(kinds) == 1 else "")
    return [load_image(file, color) for file in files]


if __name__ == "__main__":
    command_line.run(PROG, main)
