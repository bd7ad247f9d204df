"""Drawings of data layers: where the samples come from, what happens to them, and the batch that comes out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from gallery.canvas import Box, Canvas, number
from gallery.registry import drawing, run
from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.layer import create
from minicaffe.proto import LayerParameter
from minicaffe.proto import text as proto_text

# Small images, a letter for each pixel: '.', 'o', 'x' and '#' are brighter and brighter.
HOUSE = """\
....##..#.
...####.#.
..#######.
.########.
..oooooo..
..oxooxo..
..oooooo..
..oo##oo..
..oo##oo..
xxxxxxxxxx"""
BOAT = """\
.....#....
.....##...
.....###..
.....####.
.....#####
.....#....
xxxxxxxxxx
.xxxxxxxx.
..xxxxxx..
oooooooooo"""
TREE = """\
....xx....
...xxxx...
..xxxxxx..
...xxxx...
..xxxxxx..
.xxxxxxxx.
xxxxxxxxxx
....##....
....##....
oooo##oooo"""
SEED = 5  # one that mirrors some of the images
LEVELS = (0, 80, 160, 240)


def pixels(picture: str) -> np.ndarray:
    """Return a picture as an image (1, H, W) of bytes."""
    return np.array([[[LEVELS[".ox#".index(letter)] for letter in line] for line in picture.split("\n")]], np.uint8)


IMAGES = [pixels(picture) for picture in (HOUSE, BOAT, TREE)]


def transformed(param: str, size: int) -> np.ndarray:
    """Return the images (3, 1, size, size) as data layers transform them."""
    before = rng.state()  # a drawing must not change the numbers that the rest of the process draws
    rng.seed(SEED)
    try:
        layer, tops = memory(3, size, f"transform_param {{ {param} }}")
        layer.add(IMAGES, [0, 1, 2])
        layer.Forward([], tops)
    finally:
        rng.restore(before)
    return tops[0].data.copy()


def memory(batch_size: int, size: int, param: str = "") -> tuple[Any, list[Blob]]:
    """Return a MemoryData layer for images (1, size, size), and its two tops."""
    layer = create(proto_text.parse(
        f'name: "data" type: "MemoryData" top: "data" top: "label" memory_data_param {{ batch_size: {batch_size} '
        f"channels: 1 height: {size} width: {size} }} {param}", LayerParameter()), dtype=np.float64)
    tops = [Blob((), np.float64), Blob((), np.float64)]
    layer.SetUp([], tops)
    return layer, tops


# --- shapes -------------------------------------------------------------------------------------------------------

def picture(canvas: Canvas, x: float, y: float, image: np.ndarray, size: float = 6) -> Box:
    """Draw an image (H, W) of bytes; `size` is the width of a pixel."""
    box = Box(x, y, x + size * image.shape[1], y + size * image.shape[0])
    canvas.rect(box, "cell")
    for level, kind in zip(LEVELS[1:], ("ink1", "ink2", "ink3"), strict=True):
        runs = []
        for row, values in enumerate(image):
            edges = np.flatnonzero(np.diff(np.concatenate([[False], values == level, [False]])))
            for first, end in zip(edges[::2], edges[1::2], strict=True):  # the pixels of this level, side by side
                wide = size * (end - first)
                runs.append(f"M{x + size * first:g} {y + size * row:g}h{wide:g}v{size:g}h{-wide:g}z")
        if runs:
            canvas.path("".join(runs), kind, (box.right, box.bottom))
    return box


def stack(canvas: Canvas, x: float, y: float, images: Sequence[np.ndarray], words: str, size: float = 6) -> Box:
    """Draw images as a batch: one behind the other, the first in front."""
    for i in reversed(range(len(images))):
        box = picture(canvas, x + 14 * i, y + 14 * (len(images) - 1 - i), images[i], size)
        canvas.rect(box, "outline")
    front = Box(x, y + 14 * (len(images) - 1), box.right, box.bottom)
    canvas.text(x, front.bottom + 18, words, "mono strong")
    return Box(x, y, box.right + 14 * (len(images) - 1), box.bottom)


def database(canvas: Canvas, x: float, y: float, wide: float, high: float, name: str) -> Box:
    """Draw a cylinder, the usual sign of a database."""
    canvas.path(f"M{x} {y + 9}v{high - 18}a{wide / 2} 9 0 0 0 {wide} 0v{18 - high}", "box", (x + wide, y + high))
    canvas.path(f"M{x} {y + 9}a{wide / 2} 9 0 0 1 {wide} 0a{wide / 2} 9 0 0 1 {-wide} 0z", "box", (x + wide, y + 18))
    canvas.text(x + wide / 2, y + high + 18, name, "mono strong", "middle")
    return Box(x, y, x + wide, y + high)


def file(canvas: Canvas, x: float, y: float, name: str, lines: str) -> Box:
    """Draw a file with a folded corner; its lines are written in it, and its name above it."""
    code = lines.split("\n")
    wide, high = 7.3 * max(map(len, code)) + 30, 17 * len(code) + 14
    canvas.path(f"M{x} {y}h{wide - 12:g}l12 12v{high - 12}h{-wide:g}z", "cell", (x + wide, y + high))
    canvas.path(f"M{x + wide - 12:g} {y}v12h12", "line", (x + wide, y + 12))
    canvas.text(x, y - 7, name, "mono strong")
    canvas.text(x + 8, y + 19, lines, "mono code")
    return Box(x, y, x + wide, y + high)


# --- the layers ---------------------------------------------------------------------------------------------------

@drawing("Data")
def data(canvas: Canvas) -> None:
    """Records are read in the order of their keys: a picture and its label. Each picture is cropped (the frame), half
    of them are mirrored, the mean is subtracted, and the result is scaled, as a part of one row shows. batch_size of
    them are a batch.
    """
    base = database(canvas, 6, 30, 76, 150, "train_lmdb")
    crops = transformed("crop_size: 8 mirror: true", 8)[:, 0]
    scaled = transformed("crop_size: 8 mirror: true mean_value: 100 scale: 0.01", 8)
    for i, (image, crop) in enumerate(zip(IMAGES, crops, strict=True)):
        top, left = 6 + 74 * i, 176
        canvas.label(left - 8, top + 30, f"key {i}\nlabel {i}", "end", "mono quiet")
        canvas.arrow((base.right + 4, 105 + 6 * (i - 1)), (base.right + 22, top + 26))
        box = picture(canvas, left, top, image[0])
        row, column, mirrored = _found(image[0], crop)
        frame = Box(left + 6 * column, top + 6 * row, left + 6 * column + 48, top + 6 * row + 48)
        canvas.rect(frame, "window")
        done = picture(canvas, 330, top + 6, crop)
        canvas.arrow((box.right + 6, top + 30), (done.left - 6, top + 30))
        canvas.label((box.right + done.left) / 2, top + 20, "crop, mirror" if mirrored else "crop", kind="quiet")
    batch = stack(canvas, 456, 62, crops, "data (3, 1, 8, 8)")
    canvas.arrow((388, 105), (448, 105))
    canvas.text(394, 60, "(x − 100)\n· 0.01", "mono quiet")
    canvas.grid(batch.right + 66, 70, [[0], [1], [2]], "label (3)", width=34)
    for row, (name, values) in enumerate((("x", crops[0]), ("y", scaled[0, 0]))):  # some numbers of one row
        canvas.text(400, 190 + 18 * row, f"{name}  {', '.join(map(number, values[4, 1:7]))}, …", "mono")


def _found(image: np.ndarray, crop: np.ndarray) -> tuple[int, int, bool]:
    """Return the row and the column where a crop of an image begins, and whether it is mirrored."""
    size = len(crop)
    for mirrored, (row, column) in itertools.product((False, True), np.ndindex(*np.add(image.shape, 1 - size))):
        part = image[row:row + size, column:column + size]
        if np.array_equal(part[:, ::-1] if mirrored else part, crop):
            return row, column, mirrored
    raise AssertionError("the layer's crop is no part of the image")


@drawing("ImageData")
def image_data(canvas: Canvas) -> None:
    """A list names an image file and a label in each line. The files are decoded and resized to new_height × new_width,
    then transformed as in Data, and put together to a batch.
    """
    names = file(canvas, 6, 90, "list.txt", "house.png 0\nboat.png 1\ntree.png 2")
    small = [IMAGES[0][0], IMAGES[1][0], IMAGES[2][0]]
    sizes = (4, 7, 5)
    top = 6.0
    for i, (image, size) in enumerate(zip(small, sizes, strict=True)):
        box = picture(canvas, 226, top, image, size)
        canvas.arrow((names.right + 6, names.top + 17 + 17 * i), (220, box.y))
        canvas.label(304, box.y, ("80 × 80", "140 × 140", "100 × 100")[i], "start", "mono quiet")
        canvas.arrow((374, box.y), (426, 105 + 8 * (i - 1)))
        top = box.bottom + 12
    canvas.text(380, 188, "resize, then\ntransform", "quiet")
    batch = stack(canvas, 440, 56, small, "data (3, 1, H, W)")
    canvas.grid(batch.right + 46, 70, [[0], [1], [2]], "label (3)", width=34)


@drawing("WindowData")
def window_data(canvas: Canvas) -> None:
    """A window file names boxes in images, each with its class and its overlap with an object. Boxes of background
    (dashed) come first in the batch, then those of objects (solid). All are scaled to one size.
    """
    image = np.zeros((14, 22), np.uint8)
    image[2:12, 1:11], image[3:13, 12:22] = IMAGES[2][0], IMAGES[0][0]
    scene = picture(canvas, 206, 24, image, 10)
    canvas.text(206, 16, "scene.png", "mono strong")
    file(canvas, 6, 30, "windows.txt", "# 0\nscene.png\n1 14 22\n2\n0 0.1 6 7 10 11\n2 0.9 12 3 21 12")
    # class and label, then left, top and size of the box, and where it is drawn in the batch
    for kind, label, left, top, size, at in (("window second", 0, 6, 7, 5, 24), ("window", 2, 12, 3, 10, 116)):
        canvas.rect((206 + 10 * left, 24 + 10 * top, 206 + 10 * (left + size), 24 + 10 * (top + size)), kind, 3)
        cut = image[top:top + size, left:left + size]
        done = picture(canvas, 520, at, np.kron(cut, np.ones((10 // size, 10 // size), np.uint8)), 7)
        canvas.arrow((scene.right + 8, scene.y + (at - 70) / 2), (512, done.y))
        canvas.rect(done, kind, 3)
        canvas.label(done.right + 10, done.y, f"label {label}", "start", "mono")
    canvas.text(6, 204, "CLASS OVERLAP X1 Y1 X2 Y2 in the last lines", "mono quiet")
    canvas.text(520, 204, "data (2, 1, 10, 10)", "mono strong")


def _rows(canvas: Canvas, x: float, y: float, name: str, columns: int, lit: Sequence[int], first: int = 0,
          count: int = 5) -> Box:
    """Draw the rows of an array of samples, numbered from `first`, with some of them lit."""
    values = [[f"{first + n},{j}" if columns > 1 else f"{first + n}" for j in range(columns)] for n in range(count)]
    grid = canvas.grid(x, y, values, name, width=34, lit=[(n, j) for n in lit for j in range(columns)])
    return grid.box


@drawing("HDF5Data")
def hdf5_data(canvas: Canvas) -> None:
    """A list names HDF5 files. A file holds a dataset for each top, called like the top. Rows are read from all
    datasets at once; the lit ones are the second batch. After the last row comes the first one again.
    """
    names = file(canvas, 6, 60, "files.txt", "a.h5\nb.h5")
    canvas.rect((146, 24, 404, 216), "outline", 5)
    canvas.text(146, 16, "a.h5", "mono strong")
    first = _rows(canvas, 162, 30, 'dataset "data"', 3, (2, 3))
    _rows(canvas, 332, 30, '"label"', 1, (2, 3))
    canvas.arrow((names.right + 6, names.y), (140, names.y))
    data_top = _rows(canvas, 520, 30, "top data", 3, (0, 1), 2, 2)
    label_top = _rows(canvas, 520, 118, "top label", 1, (0, 1), 2, 2)
    canvas.arrow((412, 104), (512, data_top.y))
    canvas.arrow((412, 134), (512, label_top.y))
    canvas.text(162, first.bottom + 20, "rows 0, 1 were the first batch", "quiet")
    canvas.text(520, 210, "batch_size: 2", "mono quiet")


@drawing("HDF5Output")
def hdf5_output(canvas: Canvas) -> None:
    """The layer has two bottoms and no top. Each batch (lit: the second one) is added below the earlier ones, as rows
    of the datasets data and label.
    """
    data_rows = _rows(canvas, 6, 6, "bottom[0]: data", 3, (0, 1), 2, 2)
    label_rows = _rows(canvas, 6, 100, "bottom[1]: label", 1, (0, 1), 2, 2)
    canvas.rect((310, 24, 600, 194), "outline", 5)
    canvas.text(310, 16, "file_name: out.h5", "mono strong")
    kept = _rows(canvas, 326, 30, 'dataset "data"', 3, (2, 3), 0, 4)
    _rows(canvas, 500, 30, '"label"', 1, (2, 3), 0, 4)
    for rows, line in ((data_rows, 132.0), (label_rows, 150.0)):
        canvas.arrow((rows.right + 8, rows.y), (302, line))
    canvas.text(326, kept.bottom + 24, "rows 0, 1: the first batch", "quiet")


@drawing("MemoryData")
def memory_data(canvas: Canvas) -> None:
    """A program hands over arrays. Each forward pass gives the next batch_size rows, here two; after the last row comes
    the first one again.
    """
    canvas.code(6, 24, "layer.reset(data, labels)")
    images = [*(image[0] for image in IMAGES), IMAGES[0][0, :, ::-1]]
    for i, image in enumerate(images):
        picture(canvas, 6 + 62 * i, 84, image, 5)
        canvas.text(31 + 62 * i, 150, f"row {i}", "mono quiet", "middle")
    layer, tops = memory(2, 1)
    layer.reset(np.zeros((4, 1, 1, 1)), np.arange(4))  # the labels say which rows came
    for n in range(3):
        layer.Forward([], tops)
        rows = [int(label) for label in tops[1].data.ravel()]
        canvas.text(316 + 130 * n, 16, f"pass {n + 1}", "strong")
        stack(canvas, 316 + 130 * n, 40, [images[row] for row in rows], f"rows {rows[0]}, {rows[1]}", 5)
    canvas.arrow((256, 104), (304, 104))
    canvas.line([(270, 164), (270, 172), (20, 172), (20, 164)], "line thin")
    canvas.text(140, 188, "then row 0 again", "quiet", "middle")


@drawing("Input")
def input_(canvas: Canvas) -> None:
    """The program itself writes into the top. The layer only gives the top its shape."""
    code = canvas.code(6, 62, 'net.blobs["data"].data[...] = images')
    net = canvas.box(450, 60, "the layers\nthat read y")
    batch = stack(canvas, 320, 34, [image[0] for image in IMAGES], "", 5)
    canvas.text(320, 132, "y (3, 1, 10, 10)", "mono strong")
    canvas.arrow((code.right + 4, code.y), (batch.left - 6, code.y))
    canvas.arrow((batch.right + 8, code.y), (net.left - 4, code.y))


@drawing("DummyData")
def dummy_data(canvas: Canvas) -> None:
    """A filler makes the numbers of each top. A constant stays; random numbers are drawn anew in each pass."""
    fillers = (("constant", 'type: "constant" value: 0.5', "the same in each pass"),
               ("uniform", 'type: "uniform" min: -1 max: 1', "each number between −1 and 1\nis equally likely"),
               ("gaussian", 'type: "gaussian" mean: 0 std: 1', "near the mean most often"))
    shape = "shape { dim: 3 dim: 3 }"
    for i, (name, filler, words) in enumerate(fillers):
        param = f"dummy_data_param {{ {shape} data_filler {{ {filler} }} }}"
        y = run(f'layer {{ type: "DummyData" top: "y" {param} }}')["y"]
        canvas.text(6 + 240 * i, 16, name, "strong")
        canvas.text(6 + 240 * i, 34, filler.split('" ')[1], "mono quiet")
        grid = canvas.grid(6 + 240 * i, 44, y, "y", width=50)
        canvas.text(6 + 240 * i, grid.box.bottom + 20, words, "quiet")
