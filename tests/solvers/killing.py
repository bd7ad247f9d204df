"""Trainings that are killed again and again; test_kill.py runs this as a program of its own, which forks cheaply.

    python killing.py FOLDER KILLS SEED             one training a folder; prints a JSON list with one entry a kill
    python killing.py FOLDER ROUNDS SEED pairs      two trainings in one folder, and requeues that wait for them:
                                                    a list with one entry a training
    python killing.py FOLDER ROUNDS SEED database   trainings whose database another program changes, kills between:
                                                    a list with one entry a round
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe import kernels
from minicaffe.cli.__main__ import main
from minicaffe.data.lmdb import lmdb, write_lmdb
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
PAIR = {"run": (), "run_b": ("--override=snapshot_prefix=run_b,random_seed=6",)}  # two prefixes that begin alike
LAST = 200
LONGER = (f"--override=max_iter={LAST},snapshot=2,display=50", "--keep=last:3", "--no-record")
FINAL = [f"run_iter_{UPDATES}.{kind}" for kind in ("caffemodel", "solverstate", "resume")]


def prepare(folder: Path) -> None:
    """Write the database and the definitions."""
    write_lmdb(folder / "db", images(13, 6, 2))
    (folder / "net.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(SOLVER)


def images(count: int, height: int, seed: int) -> Iterator[tuple[str, Datum]]:
    """Records of a database."""
    draw = np.random.default_rng(seed)
    for i in range(count):
        pixels = draw.integers(256, size=3 * height * 5, dtype=np.uint8).tobytes()
        yield f"{i:04d}", Datum(channels=3, height=height, width=5, label=i % 4, data=pixels)


def start(place: Path, *flags: str, log: str = "log") -> int:
    """Fork a training in a folder. Return the process id of the child."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.chdir(place)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
        status = main(["train", "-solver=../solver.prototxt", *flags])
    finally:
        os._exit(status)


def finish(child: int) -> int:
    """Wait for a child. Return its exit status, which is negative for a signal."""
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


def has_ended(child: int) -> bool:
    """Whether a child has ended. It must still be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until a condition holds, but a minute at most."""
    end = time.perf_counter() + 60
    while not is_so() and time.perf_counter() < end:
        time.sleep(0.0001)


def begin(folder: Path, prefixes: Sequence[str], *flags: str) -> Path:
    """Make a folder with the files of trainings that are never killed."""
    prepare(folder)
    kernels.engine()  # these two import all that the children need
    registered_types()
    whole = folder / "whole"
    whole.mkdir()
    for prefix in prefixes:
        status = finish(start(whole, *PAIR[prefix], *flags, log=f"{prefix}.log"))
        assert status == 0, (whole / f"{prefix}.log").read_text()
    return whole


def run(folder: Path, kills: int, seed: int) -> list[dict[str, object]]:
    whole = begin(folder, ["run"])
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


def said(log: Path) -> str:
    """What a process has logged so far, which may be nothing yet."""
    return log.read_text() if log.exists() else ""


def run_pairs(folder: Path, rounds: int, seed: int) -> list[dict[str, object]]:
    """Two trainings in one folder. Each is requeued while it lives: the new one waits, the old one is killed, and half
    of the new ones are killed in their turn, with another one waiting. Some second starts are no requeues."""
    whole, draw, found = begin(folder, list(PAIR), *LONGER), random.Random(seed), []
    for number in range(rounds):
        place = folder / str(number)
        place.mkdir()
        tales = {prefix: Tale(place, prefix, flags) for prefix, flags in PAIR.items()}
        for turn in (1, 2):
            for tale in tales.values():
                if turn == 1 or draw.random() < 0.5:
                    tale.requeue(draw)
            for tale in tales.values():
                tale.kill(draw)
        told = [tale.end(whole) for tale in tales.values()]
        found += [{**one, "stray": [path.name for path in place.glob(".*")]} for one in told]
    return found


class Tale:
    """One of two trainings in a folder: the process that trains, and the one that waits for its end."""

    def __init__(self, place: Path, prefix: str, flags: tuple[str, ...]) -> None:
        self.place, self.prefix, self.flags = place, prefix, (*flags, *LONGER)
        self.logs: list[Path] = []
        self.told: dict[str, Any] = {"prefix": prefix, "kills": 0, "refused": 0, "lost": [], "cut": 0}
        self.alive, self.waiting = self.start(), 0

    def start(self, *flags: str) -> int:
        self.logs.append(self.place / f"{self.prefix}.{len(self.logs)}")
        return start(self.place, *self.flags, *flags, log=self.logs[-1].name)

    def wait(self, is_so: Callable[[], bool]) -> None:
        """Wait until a condition holds or the training has ended."""
        wait_until(lambda: is_so() or has_ended(self.alive))

    def states(self) -> list[int]:
        """The iterations of the snapshots on the disk, 0 among them: the beginning."""
        found = (re.fullmatch(rf"{self.prefix}_iter_(\d+)\.solverstate", path.name) for path in self.place.iterdir())
        return sorted({0, *(int(match[1]) for match in found if match)})

    def requeue(self, draw: random.Random) -> None:
        """Start another one while the training lives."""
        self.wait((self.place / f".{self.prefix}.lock").exists)
        if draw.random() < 0.3:
            self.told["refused"] += finish(self.start()) == 1 and "another training" in said(self.logs[-1])
        self.waiting, log = self.start("--resume=auto", "--wait=60"), self.logs[-1]
        if draw.random() < 0.8:
            self.wait(lambda: "Waiting up to" in said(log))

    def kill(self, draw: random.Random) -> None:
        """Kill the training, half of the time in sight of a file that it is writing; the one that waited takes over."""
        if not self.waiting:
            return
        after = self.states()[-1] + draw.randrange(UPDATES // 2)
        self.wait(lambda: self.states()[-1] >= after)
        if draw.random() < 0.5:
            self.wait(lambda: any(self.place.glob(f".{self.prefix}_*.tmp")))
        known = self.states()[-1]
        os.kill(self.alive, signal.SIGKILL)
        if killed := finish(self.alive) == -signal.SIGKILL:
            self.told["kills"] += 1
        self.alive, self.waiting = self.waiting, 0
        log = self.logs[-1]
        self.wait(lambda: "Starting Optimization" in said(log))
        begun = re.findall(rf"Resuming from {self.prefix}_iter_(\d+)\.solverstate", said(log)) or [0]
        if killed and int(begun[0]) < known:
            self.told["lost"].append([known, int(begun[0])])
        self.told["cut"] += "which a killed run had begun to write" in said(log)

    def end(self, whole: Path) -> dict[str, Any]:
        """Let the last process finish. Return the entry for the printed list."""
        final = [f"{self.prefix}{name.removeprefix('run')}" for name in FINAL]
        final = [name.replace(f"_{UPDATES}.", f"_{LAST}.") for name in final]
        status = finish(self.alive)
        differ = [n for n in final if status == 0 and (self.place / n).read_bytes() != (whole / n).read_bytes()]
        return {**self.told, "status": status, "waited": sum("Waiting up to" in said(log) for log in self.logs),
                "same": status == 0 and not differ, "differ": differ,
                "log": "" if status == 0 else self.logs[-1].read_text()[-1000:]}


def run_database(folder: Path, rounds: int, seed: int) -> list[dict[str, Any]]:
    """Each training's database is changed, the training killed, or both, three times; each time the database is put
    right again and the training resumed. All its snapshots must be those of a training that nobody disturbed."""
    prepare(folder)
    for name, number in (("db", 2), ("other", 3)):  # some blocks each: most of a pass is read from the disk
        write_lmdb(folder / name, images(1000, 120, number), replace=True)
    kernels.engine()
    registered_types()
    whole = folder / "whole"
    whole.mkdir()
    assert finish(start(whole, *DISTURBED)) == 0, said(whole / "log")
    draw, found = random.Random(seed), []
    for number in range(rounds):
        place = folder / f"round{number}" / "run"  # with a database of its own beside it
        place.mkdir(parents=True)
        for name in ("net.prototxt", "solver.prototxt"):
            shutil.copy(folder / name, place.parent)
        shutil.copytree(folder / "db", place.parent / "db")
        turns = [disturb(place, turn, folder, draw) for turn in range(3)]
        status = finish(start(place, *DISTURBED, "--resume=auto", log="log.end"))
        mixed = [path.name for path in place.glob("run_iter_*")
                 if path.read_bytes() != (whole / path.name).read_bytes()]
        found.append({"turns": turns, "status": status, "mixed": mixed, "stray": [p.name for p in place.glob(".*")],
                      "snapshots": len(list(place.glob("*.solverstate"))) == len(list(whole.glob("*.solverstate"))),
                      "log": "" if status == 0 else said(place / "log.end")[-1000:]})
        shutil.rmtree(place.parent)
    return found


DISTURBED = (f"--override=max_iter={LAST},snapshot=2,display=50", "--no-record")
HARMFUL = ("cut", "copied over", "written into", "grown")  # to who reads the file; the others leave it as it is
CHANGES = (*HARMFUL, "renamed", "removed", "")


def disturb(place: Path, turn: int, folder: Path, draw: random.Random) -> dict[str, Any]:
    """Start a training, change its database, kill it, or both, and put the database right again."""
    log, data = place / f"log.{turn}", place.parent / "db" / "data.mdb"
    before = len(list(place.glob("*.solverstate")))
    child = start(place, *DISTURBED, "--resume=auto", log=log.name)
    if draw.random() < 0.8:
        wait_until(lambda: "Starting Optimization" in said(log) or has_ended(child))
    after = before + draw.randrange(25)
    wait_until(lambda: len(list(place.glob("*.solverstate"))) >= after or has_ended(child))
    time.sleep(draw.random() * 0.02)
    how = draw.choice(CHANGES)
    change(how, data, folder, draw)
    kill = how not in HARMFUL or draw.random() < 0.3
    if kill:
        time.sleep(draw.random() * 0.1)
        os.kill(child, signal.SIGKILL)
    status = finish(child)
    told = said(log)
    errors = [line for line in told.splitlines() if line.startswith("minicaffe: error: ")]
    clear = status != 1 or (len(errors) == 1 and "data.mdb" in errors[0] and "Traceback" not in told)
    if draw.random() < 0.5:  # a copy over what stands there, or another file in its place
        data.parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / "db" / "data.mdb", data)
    else:
        shutil.rmtree(data.parent, ignore_errors=True)
        shutil.copytree(folder / "db", data.parent)
    return {"how": how, "killed": status == -signal.SIGKILL, "status": status, "clear": clear,
            "error": errors[0] if errors else "", "log": "" if clear and status in (0, 1, -9) else told[-1000:]}


def change(how: str, data: Path, folder: Path, draw: random.Random) -> None:
    """Change a database as other programs do."""
    if how == "cut":
        os.truncate(data, draw.randrange(data.stat().st_size))
    elif how == "copied over":
        shutil.copyfile(folder / "other" / "data.mdb", data)
    elif how == "written into":  # slowly, from its end or its beginning, as a copy through a network
        content = (folder / "other" / "data.mdb").read_bytes()
        places = list(range(0, len(content), 1 << 17))
        with open(data, "r+b") as file:
            for at in places if draw.random() < 0.5 else reversed(places):
                file.seek(at)
                file.write(content[at:at + (1 << 17)])
                file.flush()
                time.sleep(0.002)
    elif how == "grown":
        with lmdb.open(str(data.parent), map_size=1 << 26) as environment:
            for part in range(2):
                with environment.begin(write=True) as transaction:
                    for key, datum in images(100, 120, 4):
                        transaction.put(f"{key}{part}".encode(), datum.SerializeToString())
    elif how == "renamed":
        shutil.copyfile(folder / "other" / "data.mdb", data.parent / "new")
        (data.parent / "new").rename(data)
    elif how == "removed":
        shutil.rmtree(data.parent)


if __name__ == "__main__":
    work = run_pairs if "pairs" in sys.argv else run_database if "database" in sys.argv else run
    print(json.dumps(work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
