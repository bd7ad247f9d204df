"""Find the faces in a photograph with onnxruntime, without minicaffe. The README says how faces.onnx is made.

    python detect_onnx.py faces.onnx            the astronaut of the classification example
    python detect_onnx.py faces.onnx PHOTO      a photograph of yours
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

PHOTO = Path(__file__).resolve().parent.parent / "classification" / "astronaut.jpg"


def prepared(photo, facts):
    """A photograph (H, W, 3) as the net takes it, from what the model says of its input."""
    height, width = map(int, facts["resize"].split("x"))
    small = cv2.resize(photo, (width, height)).astype(np.float32)
    if facts["channels"] == "red,green,blue":  # OpenCV reads blue first
        small = small[:, :, ::-1]
    mean = np.array(facts["mean"].split(","), np.float32)
    return ((small - mean) * np.float32(facts["scale"])).transpose(2, 0, 1)[np.newaxis]


def find(model, photo):
    """The rows that the model puts out: image, class, score, left, top, right, bottom."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    image = prepared(photo, session.get_modelmeta().custom_metadata_map)
    return session.run(None, {session.get_inputs()[0].name: image})[0].reshape(-1, 7)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    photo = cv2.imread(str(sys.argv[2] if len(sys.argv) == 3 else PHOTO))
    if photo is None:
        sys.exit(f"error: {sys.argv[-1]} is no image that can be read")
    print("   score   left    top  right  bottom")
    for _, _, score, left, top, right, bottom in find(sys.argv[1], photo):
        if score > 0:  # no face: one row, with a score of -1
            H, W = photo.shape[:2]
            print(f"{100 * score:6.1f} % {left * W:6.0f} {top * H:6.0f} {right * W:6.0f} {bottom * H:7.0f}")


if __name__ == "__main__":
    main()
