"""A training that is killed again and again; test_kill.py runs this as a program of its own, which forks cheaply.

    python killing.py FOLDER KILLS SEED     prints a JSON list with one entry a kill
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from minicaffe import kernels
from minicaffe.cli.__main__ import main
from minicaffe.data.lmdb import write_lmdb
from minicaffe.layer import registered_types
from minicaffe.proto import Datum

UPDATES = 60
NET = """
name: "tiny"
layer { name: "data" type: "Data" top: "x" top: "t" transform_param { scale: 0.01 crop_size: 4 mirror: true }
        data_param { source: "../db" batch_size: 5 backend: LMDB } include { phase: TRAIN } }
layer { name: "data" type: "Data" top: "x" top: "t" transform_param { scale: 0.01 crop_size: 4 mirror: true }
        data_param { source: "../db" batch_size: 3 backend: LMDB } include { phase: TEST } }
layer { name: "drop" type: "Dropout" bottom: "x" top: "xd" }
layer { name: "ip" type: "InnerProduct" bottom: "xd" top: "ip"
        inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }
"""
SOLVER = f"""
net: "../net.prototxt" type: "Adam" base_lr: 0.05 momentum: 0.9 gamma: 0.5 display: 5 average_loss: 4
lr_policy: "plateau" plateau_patience: 2 plateau_metric: "loss:min" test_iter: 2 test_interval: 4
max_iter: {UPDATES} snapshot: 1 snapshot_prefix: "run" random_seed: 5 solver_mode: CPU
"""
FINAL = [f"run_iter_{UPDATES}.{kind}" for kind in ("caffemodel", "solverstate", "resume")]


def prepare(folder: Path) -> None:
    """Write the database and the definitions."""
    draw = np.random.default_rng(2)
    write_lmdb(folder / "db", [(f"{i:04d}", Datum(channels=3, height=6, width=5, label=i % 4,
                                                  data=draw.integers(256, size=90, dtype=np.uint8).tobytes()))
                               for i in range(13)])
    (folder / "net.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(SOLVER)


def start(place: Path, *flags: str) -> int:
    """Fork a training in a folder; the child's number."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.chdir(place)
        os.dup2(os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
        status = main(["train", "-solver=../solver.prototxt", *flags])
    finally:
        os._exit(status)


def finish(child: int) -> int:
    """Wait for a child; its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wait(place: Path, number: int, draw: random.Random, duration: float) -> None:
    """Wait until a training is to die: one in ten at any time, the others after some snapshots, half of them in sight
    of a file that is being written. Snapshots are their clock: on a busy machine a training may take ever so long.
    """
    began, share, after = time.perf_counter(), draw.random(), draw.randrange(UPDATES * 2 // 3)
    if number % 10 == 0:
        time.sleep(share * duration)
        return
    wait_until(lambda: len(list(place.glob("*.solverstate"))) >= after)
    if number % 2:
        wait_until(lambda: any(place.glob(".*.tmp")))
    else:
        time.sleep(share * (time.perf_counter() - began) / (after + 1))


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, but a minute at most."""
    end = time.perf_counter() + 60
    while not is_so() and time.perf_counter() < end:
        time.sleep(0.0001)


def run(folder: Path, kills: int, seed: int) -> list[dict[str, object]]:
    prepare(folder)
    kernels.engine()  # these two import all that the children need
    registered_types()
    whole = folder / "whole"
    whole.mkdir()
    assert finish(start(whole)) == 0, (whole / "log").read_text()
    child, duration = start(whole), -time.perf_counter()  # again, now that all files are in memory
    assert finish(child) == 0
    duration += time.perf_counter()
    draw, found = random.Random(seed), []
    for number in range(kills):
        place = folder / str(number)
        place.mkdir()
        child = start(place)
        wait(place, number, draw, duration)
        os.kill(child, signal.SIGKILL)
        killed = finish(child) == -signal.SIGKILL
        left, cut = len(list(place.glob("*.solverstate"))), len(list(place.glob(".*.tmp")))
        status = finish(start(place, "--resume=auto"))
        log = (place / "log").read_text()
        resumed = [line.split("Resuming from ")[1] for line in log.splitlines() if "Resuming from " in line]
        same = status == 0 and all((place / name).read_bytes() == (whole / name).read_bytes() for name in FINAL)
        found.append({"killed": killed, "states": left, "cut": cut, "resumed": resumed, "status": status,
                      "stray": [path.name for path in place.glob(".*.tmp")],
                      "same": same, "log": "" if same else log[-1000:]})
    return found


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
