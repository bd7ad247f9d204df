"""Snapshots: a training in a file, from which it goes on as if it had never stopped."""

import json
import os

import numpy as np

STATES = ("state", "cell")  # blobs of a layer over time that go from one batch to the next; most layers have none


def save(training, path):
    """Write all that the next steps of a Training depend on into the file `path`, whose name is used as it is.

    Change nothing in the training. A file that is there stays whole until the new one is complete, and takes its place
    at once.
    """
    raise NotImplementedError


def restore(training, path):
    """Read the file into a Training of the same net and samples, which then goes on where the saved one stood.

    Weights and states are written into the arrays that are there. Raise ValueError, and change nothing, where the file
    belongs to another net: another number of blobs, or another shape of one of them.
    """
    raise NotImplementedError
