"""Say what is in a photograph, with a net that has seen the million photographs of ImageNet.

    python -m minicaffe.pycaffe classify.py                            astronaut.jpg, and a part of it
    python -m minicaffe.pycaffe classify.py PHOTO                      a photograph of yours, or an array in a .npy file
    python -m minicaffe.pycaffe classify.py PHOTO TOP LEFT HEIGHT WIDTH    a part of it, in pixels

It is written for Caffe's Python interface, and runs with BVLC Caffe as it is: `python classify.py`.
"""

import os
import sys

os.environ.setdefault("GLOG_minloglevel", "2")  # before the import: else Caffe logs how the net is made

import caffe
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
NET = os.path.join(HERE, "squeezenet")
MEAN = np.array([104.0, 117.0, 123.0])  # of ImageNet's photographs, in blue, green and red
SHOWN = 5


def make_classifier():
    """The net, and what was done to the photographs that it learned from."""
    return caffe.Classifier(os.path.join(NET, "deploy.prototxt"), os.path.join(NET, "squeezenet.caffemodel"),
                            image_dims=(256, 256), mean=MEAN, raw_scale=255, channel_swap=(2, 1, 0))


def best(classifier, image):
    """The most probable classes of an image (H, W, 3), as pairs of a probability and a name."""
    with open(os.path.join(NET, "labels.txt")) as names:
        classes = names.read().splitlines()
    probabilities = classifier.predict([image])[0]
    return [(probabilities[k], classes[k]) for k in np.argsort(-probabilities)[:SHOWN]]


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "astronaut.jpg")
    image = np.load(path) if path.endswith(".npy") else caffe.io.load_image(path)
    parts = [(0, 0, *image.shape[:2])]
    if len(sys.argv) == 6:
        parts = [tuple(int(edge) for edge in sys.argv[2:])]
    elif len(sys.argv) == 1:
        parts.append((0, 280, 300, 232))  # where the model of the shuttle stands
    classifier = make_classifier()
    for top, left, height, width in parts:
        print(f"{os.path.basename(path)}, {height} x {width} pixels from row {top} and column {left}")
        for probability, name in best(classifier, image[top:top + height, left:left + width]):
            print(f"{100 * probability:7.1f} %  {name}")


if __name__ == "__main__":
    main()
