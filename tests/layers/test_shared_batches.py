"""take_turns: several processes share the batches of each update. Here each process is a net of its own."""

import copy
import os
import pickle
import signal

import numpy as np
import pytest
from extras import needs

from minicaffe import TEST, TRAIN, LayerError, Net, rng
from minicaffe.data.datum import make
from minicaffe.data.lmdb import write_lmdb
from minicaffe.io import hdf5, image
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text

IMAGES = np.random.default_rng(4).integers(256, size=(23, 3, 8, 7), dtype=np.uint8)
LABELS = np.arange(23) * 3 % 5
CROP = "transform_param { mirror: true crop_size: 6 scale: 0.5 }"
LAYERS = {
    "Data": f'"Data" {CROP} data_param {{ source: "DIR/lmdb" backend: LMDB batch_size: 4',
    "a Data that shuffles": f'"Data" {CROP} data_param {{ source: "DIR/lmdb" shuffle: true rand_skip: 9 backend: LMDB '
                            "batch_size: 4",
    "a Data that balances": f'"Data" {CROP} data_param {{ source: "DIR/lmdb" balance_classes: true backend: LMDB '
                            "batch_size: 4",
    "ImageData": f'"ImageData" {CROP} image_data_param {{ source: "DIR/images.txt" root_folder: "DIR/" shuffle: true '
                 "batch_size: 4",
    "WindowData": f'"WindowData" {CROP.replace("scale: 0.5", "")} window_data_param {{ source: "DIR/windows.txt" '
                  'root_folder: "DIR/" fg_fraction: 0.5 batch_size: 4',
    "HDF5Data": f'"HDF5Data" {CROP} hdf5_data_param {{ source: "DIR/rows.txt" shuffle: true batch_size: 4',
    "MemoryData": '"MemoryData" memory_data_param { channels: 3 height: 8 width: 7 batch_size: 4',
}
PARTS, RANKS = 4, (1, 2, 4)  # an update is sixteen samples, which do not divide the epoch of twenty-three


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty-three images in every form that a data layer reads."""
    for module in ("h5py", "lmdb", "cv2"):
        needs(module)
    path = tmp_path_factory.mktemp("shared")
    write_lmdb(path / "lmdb", [(f"{i:08d}", make(x, t)) for i, (x, t) in enumerate(zip(IMAGES, LABELS, strict=True))])
    for i, x in enumerate(IMAGES):
        (path / f"{i}.png").write_bytes(image.encode(x))
    (path / "images.txt").write_text("".join(f"{i}.png {t}\n" for i, t in enumerate(LABELS)))
    (path / "windows.txt").write_text("".join(
        f"# {i}\n{i}.png\n3\n8\n7\n2\n{i + 1} 0.9 0 0 3 {1 + i % 4}\n0 0.1 1 1 4 4\n" for i in range(23)))
    for i, here in enumerate((slice(0, 9), slice(9, 23))):
        hdf5.write_file(path / f"{i}.h5", lambda file, here=here: file.update({"x": IMAGES[here], "t": LABELS[here]}))
    (path / "rows.txt").write_text(f"{path}/0.h5\n{path}/1.h5\n")
    return path


def data_net(kind, folder, phase=TRAIN, more="", seed=8):
    """A net of one data layer. Each has the same seeds, as the processes of a training have them."""
    rng.seed(seed)
    net = Net(proto_text.parse(
        f'layer {{ name: "d" top: "x" top: "t" type: {LAYERS[kind].replace("DIR", str(folder))} {more} }} }}',
        NetParameter()), phase)
    if kind == "MemoryData":
        net.layers[0].reset(IMAGES[:20], LABELS[:20])
    return net


def nets_of(kind, folder, ranks, of=PARTS, **more):
    """A net for each rank, with its turns."""
    nets = [data_net(kind, folder, **more) for _ in range(ranks)]
    for rank, net in enumerate(nets):
        assert net.layers[0].take_turns(rank * of // ranks, of // ranks, of)
    return nets


def batch(net):
    net.forward()
    return net.blobs["x"].data.tolist(), net.blobs["t"].data.tolist(), list(net.layers[0].keys)


def updates(nets, count, of=PARTS):
    """The batches of so many updates in the order of their parts."""
    return [batch(net) for _ in range(count) for net in nets for _ in range(of // len(nets))]


def close(*nets):
    for net in nets:
        if hasattr(net.layers[0], "close"):
            net.layers[0].close()


@pytest.mark.parametrize("kind", LAYERS)
def test_all_ranks_together_read_what_one_process_reads(kind, folder):
    """Every part has the samples of its place in the order, with the same crops and mirrors, over two epochs."""
    one = data_net(kind, folder)
    expected = [batch(one) for _ in range(3 * PARTS)]
    for ranks in RANKS:
        nets = nets_of(kind, folder, ranks)
        assert expected == updates(nets, 3)
        assert {repr(net.layers[0].resume_state()) for net in nets} == {repr(one.layers[0].resume_state())}
        close(*nets)
    close(one)


@pytest.mark.parametrize("kind", ["a Data that shuffles", "WindowData", "HDF5Data", "MemoryData"])
def test_going_on_with_another_number_of_ranks(kind, folder):
    """What any rank has kept lets any number of ranks go on, in the middle of an epoch."""
    one = data_net(kind, folder)
    expected = [batch(one) for _ in range(2 * PARTS)]
    before = nets_of(kind, folder, 4)
    updates(before, 1)
    for ranks in RANKS:
        after = nets_of(kind, folder, ranks, seed=9)  # the seeds come from the snapshot
        for net in after:
            net.layers[0].resume_from(before[2].layers[0].resume_state())
        assert expected[PARTS:] == updates(after, 1)
        close(*after)
    close(one, *before)


def by_resume(net, kind, folder):
    other = nets_of(kind, folder, 2)
    other[1].layers[0].resume_from(net.layers[0].resume_state())
    close(other[0])
    return other[1]


def by_whole_epochs(net, kind, folder):
    if net.layers[0].whole_epochs is not None:
        net.layers[0].whole_epochs = False
    return net


WAYS = {"deepcopy": lambda net, *_: copy.deepcopy(net), "pickle": lambda net, *_: pickle.loads(pickle.dumps(net)),
        "resume": by_resume, "whole_epochs": by_whole_epochs}


@pytest.mark.parametrize(("kind", "way"), [
    *[(kind, way) for kind in ("Data", "WindowData", "HDF5Data") for way in WAYS], ("MemoryData", "deepcopy")])
def test_in_the_middle_of_an_update(kind, way, folder):
    """A copy, a resume and another size of the last batch keep how many batches of the update are read."""
    nets = nets_of(kind, folder, 2)
    expected = [batch(nets[1]) for _ in range(7)]
    net = nets_of(kind, folder, 2)[1]
    for _ in range(3):
        batch(net)
    other = WAYS[way](net, kind, folder)

    assert expected[3:] == [batch(other) for _ in range(4)]
    close(*nets, net, other)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this machine has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_in_the_middle_of_an_update(folder):
    """The forked process has no thread, yet it reads on where the other one stood."""
    net = nets_of("Data", folder, 2)[1]
    for _ in range(3):
        batch(net)
    expected = [batch(copied) for copied in [copy.deepcopy(net)] for _ in range(4)]
    child = os.fork()
    if not child:
        signal.alarm(60)
        os._exit(0 if [batch(net) for _ in range(4)] == expected else 3)
    assert os.waitpid(child, 0)[1] == 0
    assert expected == [batch(net) for _ in range(4)]


def test_a_turn_that_other_turns_do_not_have(folder):
    """In the middle of an update only a process with as many batches can go on."""
    net, fewer, alone = nets_of("Data", folder, 2)[1], nets_of("Data", folder, 4)[1], data_net("Data", folder)
    batch(net)
    state = net.layers[0].resume_state()
    assert (4, 1) == (state["cursor"], state["turn"])
    with pytest.raises(LayerError, match="cannot go on after 1 batches of an update, of which it reads 1"):
        fewer.layers[0].resume_from(state)
    with pytest.raises(LayerError, match="of which it reads all"):
        alone.layers[0].resume_from(state)
    with pytest.raises(LayerError, match="cannot go on after -1 batches"):
        net.layers[0].resume_from({**state, "turn": -1})


def test_a_cursor_begins_an_update(folder):
    """Where the cursor is set, the turns count from there."""
    net = nets_of("Data", folder, 2)[1]
    batch(net)
    net.layers[0].cursor = 30
    assert [f"{(30 + 8 + i) % 23:08d}" for i in range(4)] == batch(net)[2]
    assert [f"{(30 + 12 + i) % 23:08d}" for i in range(4)] == batch(net)[2]
    assert net.layers[0].cursor == 46


@pytest.mark.parametrize("ranks", RANKS)
def test_the_last_batch_of_an_epoch_may_be_smaller(ranks, folder):
    """In a test of two epochs, batch t·K + r belongs to rank r."""
    one = data_net("Data", folder, TEST, "partial_last_batch: true")
    expected = [batch(one) for _ in range(12)]
    nets = nets_of("Data", folder, ranks, ranks, phase=TEST, more="partial_last_batch: true")

    assert 3 == len(expected[5][2]) == len(expected[11][2])
    assert expected == updates(nets, 12 // ranks, ranks)
    assert {46} == {net.layers[0].cursor for net in nets}


def test_arrays_that_are_added_for_each_update(folder):
    """A program gives MemoryData the images of one update in each process; then all of them have been read."""
    rng.seed(8)
    one, *nets = [data_net("MemoryData", folder) for _ in range(3)]
    for rank, net in enumerate(nets):
        net.layers[0].take_turns(2 * rank, 2, 4)
    for begin in (0, 7):
        for net in (one, *nets):
            net.layers[0].add(list(IMAGES[begin:begin + 16]), LABELS[begin:begin + 16])
        with pytest.raises(LayerError, match="cannot add images before"):
            nets[1].layers[0].add(list(IMAGES[:16]), LABELS[:16])
        assert [batch(one) for _ in range(4)] == updates(nets, 1)
