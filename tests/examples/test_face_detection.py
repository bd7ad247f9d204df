"""The face detection example: the box lies where the face is, on every engine, and mistakes get a clear message."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from extras import needs

from minicaffe import TEST, Net

FOLDER = Path(__file__).parents[2] / "examples" / "face_detection"
FACE = (180, 58, 268, 178)  # read from the photograph by hand: ears, hair and chin
SIZES = {8: (10, 16, 24), 16: (32, 48), 32: (64, 96), 64: (128, 192, 256)}  # of the boxes, by the pixels of a cell


def module_of(script):
    """A script of the example as a module."""
    spec = importlib.util.spec_from_file_location(f"face_{script}", FOLDER / f"{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def detect():
    return module_of("detect")


def overlap(a, b):
    """The area that two boxes share, as a part of the area that they cover."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return shared / (sum(areas) - shared)


def run(*arguments):
    return subprocess.run([sys.executable, str(FOLDER / "detect.py"), *map(str, arguments)], capture_output=True,
                          text=True, check=False)


def authors_boxes(net):
    """The corners of all boxes as parts of the image, computed as the authors' Python code computes them, in float64.

    The centre, width and height of every fixed box are limited to 1 before the net's numbers move and scale it.
    """
    fixed = []
    for step, sizes in SIZES.items():
        for i in range(-(-240 // step)):
            for j in range(-(-320 // step)):
                fixed += [((j + 0.5) * step / 320, (i + 0.5) * step / 240, m / 320, m / 240) for m in sizes]
    fixed = np.clip(np.array(fixed), 0, 1)
    maps = [net.blobs[name].data[0].astype(np.float64) for name in ("331", "377", "417", "447")]
    moved = np.concatenate([one.transpose(1, 2, 0).reshape(-1, 4) for one in maps])
    centre = fixed[:, :2] + 0.1 * moved[:, :2] * fixed[:, 2:]
    half = fixed[:, 2:] * np.exp(0.2 * moved[:, 2:]) / 2
    return np.hstack([centre - half, centre + half])


@pytest.mark.slow
def test_the_face_is_found(detect, each_engine):
    """One box with a score near 1 covers the face, and nothing else is taken for one."""
    needs("cv2")
    faces = detect.Faces(detect.rfb320()).find(detect.read(detect.PHOTO))

    assert (1, 5) == faces.shape
    assert faces[0, 0] > 0.99
    assert overlap(FACE, faces[0, 1:]) > 0.8


def test_no_face_is_found_where_there_is_none(detect):
    """A grey photograph has no face; and only the photograph's lower half has none either."""
    needs("cv2")
    faces = detect.Faces(detect.rfb320())

    assert (0, 5) == faces.find(np.full((3, 90, 120), 127, np.uint8)).shape
    assert (0, 5) == faces.find(detect.read(detect.PHOTO)[:, 330:]).shape


def test_the_boxes_are_the_authors():
    """The layers at the end of the net put out boxes of the authors' formula, among them those of the largest size."""
    net = Net(str(FOLDER / "rfb320" / "deploy.prototxt"), TEST, weights=str(FOLDER / "rfb320" / "rfb320.caffemodel"))
    scores = net.params["435"][1].data  # the biases of faces and others, for each of the three large sizes
    scores[...] = [0, 0, 0, 0, -50, 50]  # so every box of 256 pixels counts as a face
    net.blobs["input"].data[...] = np.random.default_rng(3).normal(0, 1, net.blobs["input"].shape)
    net.forward()
    found = net.blobs["faces"].data[0, 0]
    expected = authors_boxes(net)

    assert len(found) >= 1
    for box in found[:, 3:]:
        assert pytest.approx(0, abs=1e-5) == np.abs(expected - box).max(axis=1).min()
    assert any(np.abs(expected[-60 + 2::3] - box).max(axis=1).min() < 1e-5 for box in found[:, 3:])


def test_onnxruntime_finds_the_same_face(detect, tmp_path):
    """The whole net as an ONNX model gives the boxes of minicaffe, and the script for it prints what the README shows."""
    for package in ("cv2", "onnx", "onnxruntime"):
        needs(package)
    model = tmp_path / "faces.onnx"
    files = [str(FOLDER / "rfb320" / name) for name in ("deploy.prototxt", "rfb320.caffemodel")]
    done = [subprocess.run([sys.executable, *line], capture_output=True, text=True, check=False) for line in
            (["-m", "minicaffe", "convert", *files, str(model)], [str(FOLDER / "detect_onnx.py"), str(model)])]
    faces = detect.Faces(detect.rfb320())
    faces.find(detect.read(detect.PHOTO))
    script = module_of("detect_onnx")
    found = script.find(model, script.cv2.imread(str(script.PHOTO)))
    shown = (FOLDER / "README.md").read_text(encoding="utf-8").split("$ python detect_onnx.py faces.onnx\n")[1]

    assert [0, 0] == [one.returncode for one in done], done
    assert done[1].stdout == shown.split("```")[0]
    np.testing.assert_allclose(found, faces.output.data.reshape(-1, 7), rtol=1e-5)


def test_the_command_prints_a_table_and_writes_the_picture(tmp_path):
    """The README's first command prints what the README shows, and the picture has a green frame at the face."""
    cv2 = needs("cv2")
    done = run("--output", tmp_path / "faces.png")
    assert 0 == done.returncode, done.stderr
    shown = (FOLDER / "README.md").read_text(encoding="utf-8").split("$ python detect.py\n")[1].split("```")[0]
    picture = cv2.imread(str(tmp_path / "faces.png"))
    rows, columns = np.nonzero((picture == (0, 255, 0)).all(axis=2))

    assert shown.splitlines()[:3] == done.stdout.splitlines()[:3]
    assert (512, 512, 3) == picture.shape
    assert overlap(FACE, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)) > 0.8
    assert [tmp_path / "faces.png"] == list(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "message"), [
    (["nowhere.jpg"], "no such file: nowhere.jpg"),
    (["--output", "nowhere/faces.png"], "'nowhere' is not a folder that may be written to"),
    ([FOLDER / "detected.jpg", "--output", FOLDER / "detected.jpg"], "is the photograph itself"),
    (["--ssd", "no.prototxt", "no.caffemodel"], "no such file: no.prototxt"),
    ([FOLDER / "README.md"], "README.md is no image that can be decoded")])
def test_a_mistake_gets_one_message(arguments, message):
    """What is wrong stands in one line, and no traceback follows."""
    needs("cv2")
    done = run(*arguments)

    assert 1 == done.returncode
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "" == done.stdout
