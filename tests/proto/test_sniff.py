"""What a file is, whatever its name says."""

import numpy as np
import pytest

from minicaffe import proto
from minicaffe.errors import ProtoError
from minicaffe.io import binary


def write(kind, path):
    blob = binary.array_to_blob(np.zeros((2, 3), np.float32))
    messages = {
        "caffemodel": proto.NetParameter(name="n", layer=[proto.LayerParameter(name="c", blobs=[blob])]),
        "solverstate": proto.SolverState(iter=300, learned_net="n", history=[blob], current_step=1),
        "blob": proto.BlobProto(num=1, channels=1, height=1, width=1, data=[1]),
        "datum": proto.Datum(channels=3, height=1, width=1, data=b"\x00\x01\x02", label=1),
    }
    heads = {
        "empty": b"",
        "hdf5": b"\x89HDF\r\n\x1a\n\x00",
        "zip": b"PK\x03\x04\x14\x00",
        "image": b"\x89PNG\r\n\x1a\n",
        "git-lfs": b"version https://git-lfs.github.com/spec/v1\n",
        "html": b"<!DOCTYPE html>\n<html>",
        "prototxt": b'# a net\nname: "n"\n',
        "text": b"one two three",
        # ir_version 8, producer_name, a graph with a name, and a version of operators
        "onnx": b"\x08\x08\x12\x02me\x3a\x03\x12\x01g\x42\x02\x10\x12",
        "unknown": b"GIF89a\x00\x07\x07",
    }
    if kind in ("lmdb", "leveldb", "folder"):
        path.mkdir()
        if kind != "folder":
            (path / {"lmdb": "data.mdb", "leveldb": "CURRENT"}[kind]).touch()
    else:
        path.write_bytes(messages[kind].SerializeToString() if kind in messages else heads[kind])


@pytest.mark.parametrize("kind", ["caffemodel", "solverstate", "blob", "datum", "empty", "hdf5", "zip", "image",
                                  "git-lfs", "html", "prototxt", "text", "onnx", "unknown", "lmdb", "leveldb",
                                  "folder"])
def test_content_tells_the_kind(tmp_path, kind):
    """Each kind of file is recognised without its name, and has words for a sentence."""
    write(kind, tmp_path / "x")

    assert binary.sniff(tmp_path / "x") == kind
    assert binary.describe(kind) != kind


@pytest.mark.parametrize("path", [r"C:\images\1.jpg", "d:/images/1.jpg"])
def test_a_list_with_paths_of_windows(path, tmp_path):
    """The letter of a drive is no field of a prototxt."""
    (tmp_path / "list").write_text(f"{path} 0\n")
    assert "text" == binary.sniff(tmp_path / "list")


def test_file_cut_short_is_still_what_it_was(tmp_path):
    """Half a caffemodel is called a caffemodel, so that the error can say it is cut."""
    layer = proto.LayerParameter(name="c", blobs=[binary.array_to_blob(np.zeros((9, 9), np.float32))])
    data = proto.NetParameter(name="n", layer=[layer]).SerializeToString()

    assert binary.sniff_bytes(data[:100]) == "caffemodel"
    (tmp_path / "w").write_bytes(data[:100])
    with pytest.raises(ProtoError, match=r"this caffemodel is damaged.*only 97 are left"):
        binary.read_weights(tmp_path / "w")


def test_data_file_of_an_lmdb(tmp_path):
    """The file inside an LMDB folder is recognised too."""
    (tmp_path / "data.mdb").write_bytes(bytes(16) + b"\xde\xc0\xef\xbe" + bytes(16))

    assert binary.sniff(tmp_path / "data.mdb") == "lmdb"


def test_missing_file_is_an_error(tmp_path):
    """A path that is not there is not called unknown."""
    with pytest.raises(ProtoError, match="no such file"):
        binary.sniff(tmp_path / "x")
