"""Weights and solver states: the values, the bytes, and files that are not what they claim."""

import contextlib
import os
import random
import struct
import tracemalloc

import numpy as np
import pytest

from minicaffe import proto
from minicaffe.errors import DataError, MinicaffeError, ProtoError
from minicaffe.io import binary
from minicaffe.io.blobs import decode_blob, encode_blob
from minicaffe.io.wire import LENGTH, put_tag


def array(*shape, kind=np.float32):
    return np.random.default_rng(1701).normal(size=shape).astype(kind)


@pytest.fixture
def net():
    """Two layers with fields on both sides of the blobs, one layer without any."""
    net = proto.NetParameter(name="n", force_backward=True, input=["x"])
    conv = net.layer.add(name="conv", type="Convolution", bottom=["x"], top=["y"], loss_weight=[1], phase=proto.TEST)
    conv.param.add(lr_mult=2)
    conv.include.add(stage=["s"])
    conv.convolution_param.num_output = 5
    net.layer.add(name="relu", type="ReLU", bottom=["y"], top=["y"])
    net.layer.add(name="ip", type="InnerProduct", bottom=["y"], top=["z"])
    return net


@pytest.fixture
def blobs():
    return {"conv": [array(5, 3, 2, 4), array(5)], "ip": [array(7, 30, kind=np.float64), array()]}


def test_written_bytes_are_those_of_the_whole_message(tmp_path, net, blobs):
    """The fast writer and protobuf's own give the same file, diffs included."""
    diffs = {name: [2 * a for a in arrays] for name, arrays in blobs.items()}
    binary.write_weights(tmp_path / "fast.caffemodel", net, blobs, diffs)
    for layer in net.layer:
        for a, d in zip(blobs.get(layer.name, []), diffs.get(layer.name, []), strict=True):
            blob = layer.blobs.add()
            wide = a.dtype == np.float64
            (blob.double_data if wide else blob.data).extend(a.ravel().tolist())
            (blob.double_diff if wide else blob.diff).extend(d.ravel().tolist())
            if a.ndim:
                blob.shape.dim.extend(a.shape)
    binary.write(tmp_path / "whole.caffemodel", net)

    assert (tmp_path / "fast.caffemodel").read_bytes() == (tmp_path / "whole.caffemodel").read_bytes()
    assert binary.read(tmp_path / "fast.caffemodel", proto.NetParameter()) == net


def test_weights_come_back_with_shape_and_type(tmp_path, net, blobs):
    """Names, types, shapes, precision and values are those written."""
    binary.write_weights(tmp_path / "n.caffemodel", net, blobs)
    layers = binary.read_weights(tmp_path / "n.caffemodel")

    assert [(layer.name, layer.type) for layer in layers] == [
        ("conv", "Convolution"), ("relu", "ReLU"), ("ip", "InnerProduct")]
    for layer in layers:
        for got, want in zip(layer.blobs, blobs.get(layer.name, []), strict=True):
            assert (got.shape, got.dtype) == (want.shape, want.dtype)
            assert got.flags.writeable
            np.testing.assert_array_equal(got, want)


def field(number, payload):
    """A field of bytes on the wire."""
    return put_tag(number, LENGTH, len(payload)) + payload


def test_old_forms_of_a_layer_and_of_a_blob(tmp_path):
    """V1 and V0 layers, four-number shapes and numbers stored one by one are read."""
    values = array(2, 3)
    sizes = {"num": 1, "channels": 1, "height": 2, "width": 3}
    v1 = proto.NetParameter()
    v1.layers.add(name="v1", type=proto.V1LayerParameter.CONVOLUTION,
                  blobs=[proto.BlobProto(**sizes, double_data=values.ravel().tolist())])
    one_by_one = b"".join(b"\x2d" + struct.pack("<f", value) for value in values.ravel())
    blob = proto.BlobProto(**sizes).SerializeToString() + one_by_one
    v0 = field(2, field(1, field(1, b"v0") + field(2, b"conv") + field(50, blob)))
    path = tmp_path / "old.caffemodel"
    path.write_bytes(v1.SerializeToString() + v0)
    first, second = binary.read_weights(path)

    assert [(layer.name, layer.type) for layer in (first, second)] == [("v1", "CONVOLUTION"), ("v0", "conv")]
    assert [layer.blobs[0].dtype for layer in (first, second)] == [np.float64, np.float32]
    for layer in (first, second):
        np.testing.assert_array_equal(layer.blobs[0], values.reshape(1, 1, 2, 3))


def test_long_run_of_single_numbers_is_read_without_a_float_each(tmp_path):
    """The pre-packed encoding of a million numbers costs arrays, in memory and from a file."""
    values = array(1_000_000)
    rows = np.full((values.size, 5), 0x2D, np.uint8)
    rows[:, 1:] = values.view(np.uint8).reshape(-1, 4)
    data = proto.BlobProto(num=1, channels=1, height=1000, width=1000).SerializeToString() + rows.tobytes()
    tracemalloc.start()
    got = decode_blob(data, 0, len(data), "blob")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    np.testing.assert_array_equal(got.ravel(), values)
    assert peak < 4 * values.nbytes
    (tmp_path / "old.caffemodel").write_bytes(field(2, field(4, b"a") + field(6, data) + field(6, data[:-5] + b"\x2d")))
    with pytest.raises(ProtoError, match="damaged"):
        binary.read_weights(tmp_path / "old.caffemodel")
    (tmp_path / "old.caffemodel").write_bytes(field(2, field(4, b"a") + field(6, data) + field(6, data)))
    for blob in binary.read_weights(tmp_path / "old.caffemodel")[0].blobs:
        np.testing.assert_array_equal(blob.ravel(), values)


def test_chunks_of_packed_numbers_join():
    """A packed field in several pieces, mixed with single numbers, is one array."""
    values = array(5)
    data = values.tobytes()
    blob = (field(5, data[:8]) + b"\x2d" + data[8:12] + field(5, data[12:]) + field(5, b"")
            + field(7, field(1, b"\x05")))

    np.testing.assert_array_equal(decode_blob(blob, 0, len(blob), "blob"), values)


@pytest.mark.parametrize("shape", [(2, 3), (), (0, 4), (1, 2, 3, 4, 5)])
def test_blob_and_array_are_each_other(shape):
    """Arrays of any rank pass through a BlobProto and back."""
    for kind in (np.float32, np.float64):
        values, diff = array(*shape, kind=kind), array(*shape, kind=kind) + kind(1)
        blob = binary.array_to_blob(values, diff)

        assert list(blob.shape.dim) == list(shape)
        np.testing.assert_array_equal(binary.blob_to_array(blob), values)
        np.testing.assert_array_equal(binary.blob_to_array(blob, diff=True), diff)
        assert binary.blob_to_array(blob).dtype == (kind if values.size else np.float32)


def test_values_that_do_not_fill_the_shape_are_refused(tmp_path, net):
    """The error names layer, blob and both counts, and a huge claim allocates nothing."""
    layer = net.layer[0]
    layer.blobs.add().CopyFrom(binary.array_to_blob(array(2)))
    layer.blobs.add(data=[1, 2, 3]).shape.dim.extend([10**6, 10**6])
    path = tmp_path / "n.caffemodel"
    binary.write(path, net)

    with pytest.raises(DataError, match=r"layer 'conv': blob 1 holds 3 values, but its shape .* needs 1000000000000"):
        binary.read_weights(path)
    for dims in ([-1, -3], [1] * 33, [2**62, 0, 3]):
        with pytest.raises(DataError, match="this blob"):
            binary.blob_to_array(proto.BlobProto(data=[1, 2, 3], shape=proto.BlobShape(dim=dims)))


def test_solverstate_and_mean_file(tmp_path):
    """Solver states and single blobs come back, with the bytes of the whole message."""
    history = [array(2, 3), array(4)]
    path, mean = tmp_path / "a.solverstate", tmp_path / "mean.binaryproto"
    binary.write_solverstate(path, 7, "a.caffemodel", 1, history)
    binary.write_blob(mean, array(1, 3, 5, 4))
    state = binary.read_solverstate(path)
    whole = proto.SolverState(iter=7, learned_net="a.caffemodel", current_step=1,
                              history=[binary.array_to_blob(a) for a in history])

    assert (state.iter, state.learned_net, state.current_step) == (7, "a.caffemodel", 1)
    for got, want in zip(state.history, history, strict=True):
        np.testing.assert_array_equal(got, want)
    assert path.read_bytes() == whole.SerializeToString()
    np.testing.assert_array_equal(binary.read_blob(mean), array(1, 3, 5, 4))


def test_wrong_file_is_named_for_what_it_is(tmp_path, net, blobs):
    """A solver state given as weights, and the reverse, are recognised by content."""
    state, weights = tmp_path / "s", tmp_path / "w"
    binary.write_solverstate(state, 1, "w", 0, [array(3)])
    binary.write_weights(weights, net, blobs)

    with pytest.raises(ProtoError, match="this is a solver state, not weights"):
        binary.read_weights(state)
    with pytest.raises(ProtoError, match="this is a solver state, not weights"):
        binary.read(state, proto.NetParameter())
    with pytest.raises(ProtoError, match=r"this is weights \(a caffemodel\), not a solver state"):
        binary.read_solverstate(weights)
    with pytest.raises(ProtoError, match="no such file"):
        binary.read_weights(tmp_path / "gone")
    with pytest.raises(ProtoError, match="a folder"):
        binary.read_weights(tmp_path)


def test_blobs_for_no_layer_are_refused(tmp_path, net):
    """A misspelt layer name is not silently left out of the file."""
    with pytest.raises(DataError, match="no layer 'convv'"):
        binary.write_weights(tmp_path / "w", net, {"convv": [array(2)]})
    assert os.listdir(tmp_path) == []


def test_fork_fields_cannot_stop_the_weights(tmp_path, blobs):
    """Parameters under numbers that a fork reuses are passed over and not read wrongly."""
    fork = field(1, b"conv") + field(148, b"\x0a\x01x") + field(7, b"".join(encode_blob(blobs["conv"][0])))
    path = tmp_path / "fork.caffemodel"
    path.write_bytes(field(1, b"n") + field(100, fork) + field(500, b"?"))

    np.testing.assert_array_equal(binary.read_weights(path)[0].blobs[0], blobs["conv"][0])
    with pytest.raises(ProtoError, match="NetParameter"):
        binary.read(path, proto.NetParameter())


def test_text_that_is_not_utf8_is_found_on_reading(tmp_path, blobs):
    """A name in another encoding is one error for the message, and no matter for weights."""
    path = tmp_path / "n.caffemodel"
    path.write_bytes(field(100, field(1, b"\xd6\xd0") + field(7, b"".join(encode_blob(blobs["conv"][0])))))

    with pytest.raises(ProtoError, match=r"not UTF-8|damaged"):
        binary.read(path, proto.NetParameter())
    np.testing.assert_array_equal(binary.read_weights(path)[0].blobs[0], blobs["conv"][0])


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files_end_in_one_of_our_errors(tmp_path, net, blobs, seed):
    """Cut and bit-flipped files never crash, hang or take memory beyond their size."""
    rng = random.Random(seed)
    binary.write_weights(tmp_path / "w", net, blobs)
    binary.write_solverstate(tmp_path / "s", 300, "w", 2, [array(3, 2)])
    for name, whole, reader in [("w", proto.NetParameter, binary.read_weights),
                                ("s", proto.SolverState, binary.read_solverstate)]:
        good = (tmp_path / name).read_bytes()
        for _ in range(150):
            bad = bytearray(good)
            for _ in range(rng.randint(0, 3)):
                bad[rng.randrange(min(len(bad), rng.choice([60, len(bad)])))] ^= 1 << rng.randrange(8)
            bad = bad[: rng.choice([len(bad), rng.randrange(len(bad))])]
            (tmp_path / "bad").write_bytes(bad)
            for read in (reader, lambda path, kind=whole: binary.read(path, kind())):
                with contextlib.suppress(MinicaffeError):  # any other exception fails the test
                    read(tmp_path / "bad")


def test_a_message_that_memory_does_not_hold_is_not_called_damaged():
    """protobuf raises one error for both; its words tell them apart."""
    class Short:
        DESCRIPTOR = proto.BlobShape.DESCRIPTOR

        def ParseFromString(self, data):  # noqa: N802
            raise binary.DecodeError("Error parsing message with type 'caffe.BlobShape': Arena alloc failed")

    with pytest.raises(MemoryError, match="a.caffemodel does not fit into it"):
        binary.parse(b"", Short(), "a.caffemodel")
    with pytest.raises(ProtoError, match="this NetParameter is damaged or cut short"):
        binary.parse(proto.NetParameter(layer=[{"name": "conv"}]).SerializeToString()[:-1], proto.NetParameter())
