"""For --import: after the last update each rank writes a checksum of what it has, into the file witness.RANK."""

import hashlib
import os
from pathlib import Path

from minicaffe.solvers import Solver

step = Solver.step


def witnessed(solver, *arguments):
    step(solver, *arguments)
    digest = hashlib.sha256(ascii((solver.iter, solver.current_step, solver.smoothed_loss)).encode())
    for blob in (blob for layer in solver.net.layers for blob in layer.blobs):
        digest.update(blob.data)
    for array in solver.history:
        digest.update(array)
    Path(f"witness.{os.environ.get('OMPI_COMM_WORLD_RANK', 0)}").write_text(digest.hexdigest())


Solver.step = witnessed
