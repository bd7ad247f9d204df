"""Find the faces in a photograph, and draw a box around each.

    python detect.py                        the astronaut of the classification example
    python detect.py PHOTO                  a photograph of yours
    python detect.py PHOTO --output FILE    write the picture there, and not to faces.png
    python detect.py PHOTO --ssd DEPLOY.prototxt WEIGHTS.caffemodel    with OpenCV's SSD face detector
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minicaffe import TEST, DataError, MinicaffeError, Net
from minicaffe.io import image
from minicaffe.io.files import check_can_write, read_bytes, replace_file

HERE = Path(__file__).resolve().parent
PHOTO = HERE.parent / "classification" / "astronaut.jpg"
GREEN = (0, 255, 0)


class Detector(NamedTuple):
    """A trained net, and how photographs are made ready for it."""

    deploy: str
    weights: str
    mean: tuple  # in blue, green and red
    scale: float
    red_first: bool


def rfb320():
    """The small detector that lies beside this script."""
    return Detector(str(HERE / "rfb320" / "deploy.prototxt"), str(HERE / "rfb320" / "rfb320.caffemodel"),
                    (127, 127, 127), 1 / 128, True)


def ssd(deploy, weights):
    """OpenCV's detector, res10_300x300_ssd, from its two files."""
    return Detector(deploy, weights, (104, 177, 123), 1, False)


class Faces:
    """A detector that is ready to look at photographs."""

    def __init__(self, detector):
        self.detector = detector
        self.net = Net(detector.deploy, TEST, weights=detector.weights)
        self.input, self.output = self.net.blobs[self.net.inputs[0]], self.net.blobs[self.net.outputs[-1]]

    def find(self, photo, least=0.5):
        """The faces in a photograph (3, H, W): rows of score, left, top, right, bottom, the corners in pixels."""
        small = image.resize(photo, self.input.shape[2:]).astype(np.float32)
        ready = (small - np.reshape(self.detector.mean, (3, 1, 1))) * self.detector.scale
        self.input.data[...] = ready[::-1] if self.detector.red_first else ready
        self.net.forward()
        found = self.output.data.reshape(-1, 7)[:, 2:]  # behind the image's index and the class
        H, W = photo.shape[1:]
        return found[found[:, 0] > least] * (1, W, H, W, H)  # no face: one row, with a score of -1


def draw(photo, faces):
    """A copy of a photograph (3, H, W) with a frame around each face."""
    picture = photo.copy()
    H, W = picture.shape[1:]
    thick = max(2, min(H, W) // 170)
    for _, *corners in faces:
        left, top, right, bottom = np.clip(np.rint(corners).astype(int), 0, (W, H, W, H))
        frame = np.zeros((H, W), bool)
        frame[top:bottom, left:right] = True
        frame[top + thick:bottom - thick, left + thick:right - thick] = False
        picture[:, frame] = np.reshape(GREEN, (3, 1))
    return picture


def read(path):
    """The photograph in a file, as an array (3, H, W) of blue, green and red."""
    return image.decode(read_bytes(path), str(path), color=True)


def main():
    parser = argparse.ArgumentParser(description="Find the faces in a photograph, and draw a box around each.")
    parser.add_argument("photo", nargs="?", default=PHOTO, help="a JPEG or PNG (default: an astronaut)")
    parser.add_argument("--output", default="faces.png", help="the picture to write: .png or .jpg (default: faces.png)")
    parser.add_argument("--ssd", nargs=2, metavar=("DEPLOY", "WEIGHTS"), help="look with OpenCV's SSD face detector")
    given = parser.parse_args()
    check_can_write("--output", given.output)
    if Path(given.output).resolve() == Path(given.photo).resolve():
        raise DataError(f"--output: {given.output} is the photograph itself", hint="give another name")
    photo = read(given.photo)
    faces = Faces(ssd(*given.ssd) if given.ssd else rfb320()).find(photo)
    picture = image.encode(draw(photo, faces), Path(given.output).suffix)
    replace_file(given.output, [picture])

    print(f"{Path(given.photo).name}: {photo.shape[2]} x {photo.shape[1]} pixels, {len(faces) or 'no'} "
          f"{'face' if len(faces) == 1 else 'faces'}")
    if len(faces):
        print("   score   left    top  right  bottom")
    for score, left, top, right, bottom in faces:
        print(f"{100 * score:6.1f} % {left:6.0f} {top:6.0f} {right:6.0f} {bottom:7.0f}")
    print(f"The boxes are drawn in {given.output}")


if __name__ == "__main__":
    try:
        main()
    except MinicaffeError as error:
        sys.exit(f"error: {error}")
