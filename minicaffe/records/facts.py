"""run.yaml: what a training was made of, so that it can be repeated: solver, net, versions, seed, data."""

from __future__ import annotations

import hashlib
import os
import platform
from datetime import datetime, timezone
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from minicaffe import __version__, kernels, plugins, rng
from minicaffe.data import open_source
from minicaffe.data.hdf5 import read_paths
from minicaffe.data.images import read_entries
from minicaffe.data.windows import read_window_file
from minicaffe.errors import MinicaffeError
from minicaffe.io.files import replace_file
from minicaffe.layer import source_of
from minicaffe.log import visible
from minicaffe.net import Net
from minicaffe.proto import DataParameter, text
from minicaffe.solvers.schedule import epochs
from minicaffe.system import read_at

PACKAGES = ("numpy", "protobuf", "numba", "lmdb", "h5py", "opencv-python-headless")
SOME = 50  # records of a database, and images of a list, that are hashed at each end
WHOLE = 1 << 26  # bytes that are hashed of a source's files; of longer ones the beginning and the end


def write(path: Path, solver: Any) -> None:
    """Write the facts; those that stood there, of the training that is gone on with, stay under `earlier`."""
    facts = describe(solver)
    before = _read(path)
    if before:
        facts["earlier"] = [*before.pop("earlier", []), before]
    content = _yaml(facts, letters=True)
    if visible(content) != content:  # a name with what would reorder or recolour what a terminal shows
        content = _yaml(facts, letters=False)
    replace_file(path, [content.encode()])


def _yaml(facts: dict[str, Any], letters: bool) -> str:
    """The facts as YAML; without `letters`, what is not ASCII stands as escapes."""
    return yaml.dump(facts, Dumper=_Dumper, sort_keys=False, allow_unicode=letters, width=10_000)


def describe(solver: Any) -> dict[str, Any]:
    """The facts of a solver that is about to train."""
    seed = solver.param.random_seed
    bits = rng.generator().bit_generator
    entropy = getattr(getattr(bits, "seed_seq", None), "entropy", None)  # numpy before 1.25 does not tell
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "iteration": solver.iter,
        "seed": seed if seed >= 0 else {"drawn by the system": entropy},
        "versions": versions(),
        "imports": imports(),
        "solver": {"file": solver.where, "type": solver.type, "definition": text.format(solver.param)},
        "net": {"name": solver.net.name, "parameters": sum(p.blob.count for p in solver.net.learnable_params),
                "definition": _definition(solver.net)},
        "data": [found for net in (solver.net, *solver.test_nets) for found in sources(net)],
    }


def versions() -> dict[str, str]:
    """What computes: minicaffe, Python, the packages that are installed, engine, threads and machine."""
    found = {"minicaffe": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {**found, "engine": kernels.engine(), "threads": str(kernels.threads()), "machine": platform.platform()}


def imports() -> list[dict[str, Any]]:
    """The modules outside of minicaffe that registered layer types or fillers, or were imported to do so."""
    return [{"module": origin.module, "file": origin.file, "from": origin.source or "the program that trains",
             "registers": [name for _, name in found]} for origin, found in plugins.brought().items()]


def sources(net: Net) -> list[dict[str, Any]]:
    """Each layer that names a source: the path, how much it holds, and a fingerprint of that."""
    phase = "TEST" if net.phase else "TRAIN"
    found = []
    for layer in net.layers:
        path = getattr(layer.param, "source", "")
        if path and isinstance(path, str):
            found.append({"layer": layer.name, "type": layer.type, "phase": phase, "source": path,
                          **fingerprint(layer, path)})
    return found


def fingerprint(layer: Any, path: str) -> dict[str, Any]:
    """Size and SHA-256 of a source: a file with the files that it names, or some records at each end of a database."""
    try:
        if layer.type == "Data":
            records = open_source(DataParameter.DB.Name(layer.param.backend), path)
            digest = hashlib.sha256()
            for start in (0, max(0, len(records) - SOME)):
                for key, value in islice(records.records(start), SOME):
                    digest.update(key + b"\0" + value)
            return {"records": len(records), "bytes": _size(path), "sha256": digest.hexdigest(),
                    "of": f"the first and last {SOME} records"}
        digest, named, source = hashlib.sha256(), _named(layer, path), source_of(layer)
        size, of = _size(path), ["the file" if not named else "the list"]
        if not _add(digest, path, WHOLE):
            of = [f"the first and last {WHOLE // 2} bytes of {of[0]}"]
        if named:
            chosen = named if layer.type == "HDF5Data" else [*named[:SOME], *named[SOME:][-SOME:]]
            most = max(1 << 20, WHOLE // len(chosen))
            whole = all([_add(digest, name, most) for name in chosen])
            which = f"its {len(named)} files" if len(chosen) == len(named) else \
                f"the first and last {SOME} of its {len(named)} files"
            of.append(which if whole else f"the first and last {most // 2} bytes of {which}")
            size += sum(map(_size, chosen))
        return {"samples": source.epoch_size if source else None, "bytes": size, "sha256": digest.hexdigest(),
                "of": " and ".join(of)}
    except (OSError, MinicaffeError) as error:
        return {"fingerprint": f"none: {error}"}


def _named(layer: Any, path: str) -> list[str]:
    """The files of data that a list names; none where the source is no list."""
    p = layer.param
    if layer.type == "HDF5Data":
        return read_paths(path)
    if layer.type == "ImageData":
        return [p.root_folder + name for name, _, _ in read_entries(path)]
    if layer.type == "WindowData":
        return read_window_file(path, p.root_folder, p.fg_threshold, p.bg_threshold).paths
    return []


def _add(digest: Any, path: str, most: int) -> bool:
    """Add a file's size and content to a digest, of a long one its beginning and its end; whether that is all."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(b"%d\0" % size)
        if size <= most:
            digest.update(file.read())
            return True
        for start in (0, size - most // 2):
            digest.update(read_at(file, start, most // 2))
        return False


def updates_per_epoch(solver: Any) -> float:
    """How many updates see each sample of the train net's largest source once; 0 where no source knows its size."""
    for reader in epochs.readers(solver.net)[:1]:
        return float(reader.size / (reader.batch * solver.param.iter_size))
    return 0.0


def _size(path: str) -> int:
    return sum(file.stat().st_size for file in Path(path).iterdir()) if os.path.isdir(path) else os.path.getsize(path)


def _definition(net: Net) -> str:
    param = type(net.param)()
    param.CopyFrom(net.param)
    for layer in param.layer:
        del layer.blobs[:]
    return text.format(param)


def _read(path: Path) -> dict[str, Any]:
    """What stands in a run.yaml; nothing where it is none."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("earlier", []), list) else {}


class _Dumper(yaml.SafeDumper):
    """Writes long texts as they read, line by line."""


def _text(dumper: yaml.SafeDumper, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(np.float64, lambda dumper, value: dumper.represent_float(float(value)))
