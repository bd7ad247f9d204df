"""A file of another kind: what it is, and the right one beside it."""

import json
import struct
import zipfile

import numpy as np
import pytest

from minicaffe import proto
from minicaffe.errors import MinicaffeError, ProtoError
from minicaffe.io import binary, prototxt, solverstate, weights
from minicaffe.io.wrong_file import right_file_hint, stem, wrong_file

BLOB = binary.array_to_blob(np.ones((2, 3), np.float32))
CONTENT = {
    "caffemodel": proto.NetParameter(layer=[proto.LayerParameter(name="c", blobs=[BLOB])]).SerializeToString(),
    "solverstate": proto.SolverState(iter=300, learned_net="n", history=[BLOB], current_step=1).SerializeToString(),
    "blob": BLOB.SerializeToString(),
    "empty": b"",
    "html": b"<!DOCTYPE html>\n<html><body>404</body></html>",
    "git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n",
    "prototxt": b'name: "n"\nlayer { name: "c" type: "ReLU" }\n',
    "text": b"one two three",
    "image": b"\x89PNG\r\n\x1a\n" + bytes(9),
    "gzip": b"\x1f\x8b\x08" + bytes(99),
    "zip": b"PK\x05\x06" + bytes(18),
    "pickle": b"\x80\x04\x95" + bytes(99),
    "zeros": bytes(4096),
    "safetensors": struct.pack("<Q", 2) + b"{}",
}
WORDS = {
    "caffemodel": r"weights \(a caffemodel\)", "solverstate": "a solver state", "blob": "a single blob",
    "empty": "an empty file",
    "html": "a web page: the download", "git-lfs": r"a Git LFS pointer: .*git lfs pull", "prototxt": "a prototxt",
    "text": "plain text", "image": "an image", "gzip": "a gzip archive", "zip": "a zip archive",
    "pickle": "a Python pickle", "zeros": "a file of zero bytes: a copy that was never finished",
    "safetensors": r"a \.safetensors file",
}
LOADERS = [("caffemodel", weights.read, {"caffemodel", "safetensors"}),
           ("solverstate", solverstate.read, {"solverstate"}), ("blob", binary.read_blob, {"blob"}),
           ("prototxt", lambda path: prototxt.read(path, proto.NetParameter()), {"prototxt", "text", "empty"})]


@pytest.mark.parametrize("kind", CONTENT)
@pytest.mark.parametrize(("wanted", "read", "takes"), LOADERS, ids=[wanted for wanted, _, _ in LOADERS])
def test_each_loader_says_what_it_was_given(wanted, read, takes, kind, tmp_path):
    """Every loader names the file, what it holds and what was wanted."""
    path = tmp_path / "given"
    path.write_bytes(CONTENT[kind])
    if kind in takes:
        return
    with pytest.raises(ProtoError, match=f"given: this is (not .* but )?{WORDS[kind]}") as error:
        read(path)
    assert binary.describe(wanted) in str(error.value)
    assert "hint" not in str(error.value)


@pytest.mark.parametrize(("given", "beside", "wanted", "named"), [
    ("net_iter_9.solverstate", ["net_iter_9.caffemodel", "net_iter_8.caffemodel"], "caffemodel",
     "net_iter_9.caffemodel"),
    ("net_iter_9.solverstate.h5", ["net_iter_9.caffemodel", "other.caffemodel"], "caffemodel", "net_iter_9.caffemodel"),
    ("net_iter_9.caffemodel", ["net_iter_9.solverstate"], "solverstate", "net_iter_9.solverstate"),
    ("net.caffemodel", ["net.safetensors"], "caffemodel", "net.safetensors"),
    ("deploy.caffemodel", ["net.caffemodel"], "caffemodel", "net.caffemodel"),
    ("net.caffemodel", ["deploy.prototxt"], "prototxt", "deploy.prototxt"),
    ("mean.npy", ["mean.binaryproto"], "blob", "mean.binaryproto"),
    ("a", ["b.caffemodel", "c.caffemodel"], "caffemodel", "b.caffemodel or @c.caffemodel"),
])
def test_the_right_file_beside_it_is_named(given, beside, wanted, named, tmp_path):
    """The file of the same snapshot comes first, and else those of the kind that are there."""
    for name in beside:
        kind = "blob" if name.endswith(".binaryproto") else name.removesuffix(".h5").rpartition(".")[2]
        (tmp_path / name).write_bytes(CONTENT[kind])
    (tmp_path / given).write_bytes(CONTENT["html"])

    assert f"did you mean {tmp_path}/{named.replace('@', f'{tmp_path}/')}?" == right_file_hint(tmp_path / given, wanted)


def test_what_only_looks_right_is_not_named(tmp_path):
    """A file beside it is named for its content: another broken one is no help."""
    (tmp_path / "net.caffemodel").write_bytes(CONTENT["html"])
    (tmp_path / "net.solverstate").write_bytes(CONTENT["solverstate"])
    (tmp_path / "old.caffemodel").write_bytes(CONTENT["empty"])

    assert "" == right_file_hint(tmp_path / "net.solverstate", "caffemodel")
    assert "" == wrong_file(tmp_path / "net.solverstate", "solverstate", "caffemodel").hint
    assert "" == right_file_hint(tmp_path / "gone" / "net.solverstate", "caffemodel")


def test_stems():
    """The files of one snapshot are known by their names."""
    for end in (".caffemodel", ".caffemodel.h5", ".solverstate", ".npz"):
        assert "a_iter_3" == stem(f"a_iter_3{end}")


@pytest.mark.parametrize("length", [1, 7, 20, 30])
@pytest.mark.parametrize(("kind", "read"), [("caffemodel", weights.read), ("solverstate", solverstate.read)])
def test_cut_files(kind, read, length, tmp_path):
    """A file cut short is an error that says so, or says that its kind is unknown."""
    (tmp_path / "cut").write_bytes(CONTENT[kind][:length])
    with pytest.raises(MinicaffeError, match=r"damaged|cut short|not weights|not a solver state|holds \d+ values"):
        read(tmp_path / "cut")


def test_npz_and_zip_are_told_apart(tmp_path):
    """The first member decides."""
    np.savez(tmp_path / "a", x=np.ones(3))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("readme.txt", json.dumps({}))

    assert ("npz", "zip") == (binary.sniff(tmp_path / "a.npz"), binary.sniff(tmp_path / "b.zip"))
