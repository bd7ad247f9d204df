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
from minicaffe.errors import MinicaffeError
from minicaffe.io.files import replace_file
from minicaffe.layer import DataSource, source_of
from minicaffe.log import visible
from minicaffe.net import Net
from minicaffe.proto import text
from minicaffe.solvers.fields import parts
from minicaffe.solvers.schedule import epochs
from minicaffe.system import read_at

PACKAGES = ("numpy", "protobuf", "numba", "lmdb", "h5py", "opencv-python-headless")
# A checksum of all data could take longer than the training, and other data nearly always differ in these parts.
SOME = 50  # the number of records of a database, or images of a list, that are hashed at each end
WHOLE = 1 << 26  # the number of bytes that are hashed of one source; of more, the beginning and the end


def write(path: Path, solver: Any) -> None:
    """Write the facts of a training that begins or is resumed.

    Where it is resumed, the facts of its earlier parts stay in the file, under `earlier`.
    """
    facts = describe(solver)
    before = _read(path)
    if before:
        facts["earlier"] = [*before.pop("earlier", []), before]
    content = _yaml(facts, letters=True)
    if visible(content) != content:  # a name holds characters that change a terminal's colours or the order of letters
        content = _yaml(facts, letters=False)
    replace_file(path, [content.encode()])


def _yaml(facts: dict[str, Any], letters: bool) -> str:
    """Return the facts as YAML. Without `letters`, every character that is not ASCII is written as an escape."""
    return yaml.dump(facts, Dumper=_Dumper, sort_keys=False, allow_unicode=letters, width=10_000)


def describe(solver: Any) -> dict[str, Any]:
    """Return the facts of a solver that is about to train."""
    seed = solver.param.random_seed
    bits = rng.generator().bit_generator
    entropy = getattr(getattr(bits, "seed_seq", None), "entropy", None)  # numpy before 1.25 does not tell
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "iteration": solver.iter,
        "seed": seed if seed >= 0 else {"drawn by the system": entropy},
        "versions": versions(),
        **({"processes": solver.group.size} if solver.group.size > 1 else {}),
        **({"imports": imported} if (imported := imports()) else {}),
        "solver": {"file": solver.where, "type": solver.type, "definition": text.format(solver.param)},
        "net": {"name": solver.net.name, "parameters": sum(p.blob.count for p in solver.net.learnable_params),
                "definition": _definition(solver.net)},
        "data": [found for net in (solver.net, *solver.test_nets) for found in sources(net)],
    }


def versions() -> dict[str, str]:
    """Return the versions of minicaffe, Python and installed packages, the engine, its threads and the machine."""
    found = {"minicaffe": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {**found, "engine": kernels.engine(), "threads": str(kernels.threads()), "machine": platform.platform()}


def imports() -> list[dict[str, Any]]:
    """Return the modules outside minicaffe that registered layer types or fillers, or were imported to do so."""
    return [{"module": origin.module, "file": origin.file, "from": origin.source or "the program that trains",
             "registers": [name for _, name in found]} for origin, found in plugins.brought().items()]


def sources(net: Net) -> list[dict[str, Any]]:
    """Return the source of each data layer of a net: its path, its size, and a checksum of its content."""
    phase = "TEST" if net.phase else "TRAIN"
    return [{"layer": source.name, "type": source.type, "phase": phase, "source": path, **fingerprint(source)}
            for source in filter(None, map(source_of, net.layers)) if (path := _path(source))]


def _path(source: DataSource) -> str:
    return str(source.source_path or getattr(source.param, "source", ""))  # str(): a user's may be a Path


def fingerprint(source: DataSource) -> dict[str, Any]:
    """Return the size and the SHA-256 of what a data layer reads, and what the SHA-256 is of.

    Where the files cannot be read, the reason stands there instead: a training needs no fingerprint.
    """
    try:
        if source.source_records is not None:
            return _of_records(source)
        return _of_files(source)
    except (OSError, MinicaffeError) as error:
        return {"fingerprint": f"none: {error}"}


def _of_records(source: DataSource) -> dict[str, Any]:
    """Return the fingerprint of a database, computed from its first and last records, since reading all is slow."""
    database, digest = source.source_records, hashlib.sha256()
    for start in (0, max(0, len(database) - SOME)):
        for key, value in islice(database.records(start), SOME):
            digest.update(key + b"\0" + value)
    return {"records": len(database), "bytes": _size(_path(source)), "sha256": digest.hexdigest(),
            "of": f"the first and last {SOME} records"}


def _of_files(source: DataSource) -> dict[str, Any]:
    """Return the fingerprint of a file and, where it is a list, of the files that it names."""
    path, digest, files = _path(source), hashlib.sha256(), list(map(str, source.source_files))
    size, of = _size(path), ["the list" if files else "the file"]
    if os.path.isdir(path):
        digest.update("\0".join(files).encode(errors="surrogateescape"))
        size, of = 0, ["the names of the files"]
    elif not _add(digest, path, WHOLE):
        of = [f"the first and last {WHOLE // 2} bytes of {of[0]}"]
    if files:
        chosen = [*files[:SOME], *files[SOME:][-SOME:]] if source.one_sample_per_file else files
        most = max(1 << 20, WHOLE // len(chosen))
        whole = all([_add(digest, name, most) for name in chosen])  # a list: each file is added, also after a long one
        which = f"its {len(files)} files" if len(chosen) == len(files) else \
            f"the first and last {SOME} of its {len(files)} files"
        of.append(which if whole else f"the first and last {most // 2} bytes of {which}")
        size += sum(map(_size, chosen))
    return {"samples": source.epoch_size, "bytes": size, "sha256": digest.hexdigest(), "of": " and ".join(of)}


def _add(digest: Any, path: str, most: int) -> bool:
    """Add a file's size and content to a digest, and return whether that is all of the content.

    Of a file longer than `most` bytes only the beginning and the end are added, half of `most` each.
    """
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
    """Return the number of updates in which the train net sees each sample of its largest source once.

    0 where no data layer knows the size of its source.
    """
    for reader in epochs.readers(solver.net)[:1]:
        return float(reader.size / (reader.batch * parts(solver.param)))
    return 0.0


def _size(path: str) -> int:
    """Return the number of bytes in a file, or in the files of a folder."""
    return sum(file.stat().st_size for file in Path(path).iterdir()) if os.path.isdir(path) else os.path.getsize(path)


def _definition(net: Net) -> str:
    """Return the net as prototxt, without the weights that its layers may hold."""
    param = type(net.param)()
    param.CopyFrom(net.param)
    for layer in param.layer:
        del layer.blobs[:]
    return text.format(param)


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a run.yaml; an empty dict where there is none or it cannot be read."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("earlier", []), list) else {}


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as these lines, so that a net's prototxt can be read in the YAML file."""


def _text(dumper: yaml.SafeDumper, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(np.float64, lambda dumper, value: dumper.represent_float(float(value)))
