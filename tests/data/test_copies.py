"""copy.deepcopy and pickle, on nets whose data come from files: each copy goes on where the original stood."""

import copy
import gc
import os
import pickle
import signal
import threading

import numpy as np
import pytest
from extras import needs

from minicaffe import TRAIN, Net, rng
from minicaffe.data.datum import make
from minicaffe.data.lmdb import LmdbSource, write_lmdb
from minicaffe.errors import DataError
from minicaffe.io import hdf5, image
from minicaffe.proto import NetParameter, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers.sgd import SGDSolver

IMAGES = np.random.default_rng(4).integers(256, size=(7, 3, 6, 5), dtype=np.uint8)
LAYERS = {
    "Data": 'data_param { source: "DIR/lmdb" backend: LMDB batch_size: 3 }',
    "ImageData": 'image_data_param { source: "DIR/images.txt" root_folder: "DIR/" batch_size: 3 shuffle: true }',
    "WindowData": 'window_data_param { source: "DIR/windows.txt" root_folder: "DIR/" batch_size: 3 fg_fraction: 0.5 }',
    "HDF5Data": 'hdf5_data_param { source: "DIR/rows.txt" batch_size: 3 shuffle: true }',
    "MemoryData": "memory_data_param { batch_size: 3 channels: 3 height: 6 width: 5 }",
}


@pytest.fixture
def folder(tmp_path):
    """Seven images in every form that a data layer reads."""
    needs("h5py")
    write_lmdb(tmp_path / "lmdb", [(f"{i:08d}", make(x, i)) for i, x in enumerate(IMAGES)])
    for i, x in enumerate(IMAGES):
        (tmp_path / f"{i}.png").write_bytes(image.encode(x))
    (tmp_path / "images.txt").write_text("".join(f"{i}.png {i}\n" for i in range(7)))
    (tmp_path / "windows.txt").write_text("".join(
        f"# {i}\n{i}.png\n3\n6\n5\n2\n{i + 1} 0.9 0 0 3 {1 + i % 4}\n0 0.1 1 1 4 4\n" for i in range(7)))
    hdf5.write_file(tmp_path / "rows.h5", lambda file: file.update({"data": IMAGES, "label": np.arange(7)}))
    (tmp_path / "rows.txt").write_text(f"{tmp_path}/rows.h5\n")
    return tmp_path


def data_net(kind, folder):
    """A net of one data layer that draws at random where its type does so."""
    fields = LAYERS[kind].replace("DIR", str(folder))
    if kind != "HDF5Data":
        fields += " transform_param { mirror: true crop_size: 4 }" if kind != "MemoryData" else ""
    rng.seed(8)
    net = Net(proto_text.parse(f'layer {{ name: "d" type: "{kind}" top: "data" top: "label" {fields} }}',
                               NetParameter()), TRAIN)
    if kind == "MemoryData":
        net.layers[0].reset(np.tile(IMAGES, (3, 1, 1, 1)), np.arange(21))
    return net


def batches(net, count):
    """The next batches' values."""
    found = []
    for _ in range(count):
        net.forward()
        found.append((net.blobs["data"].data.tolist(), net.blobs["label"].data.tolist()))
    return found


def pickled(original):
    """A copy by way of pickle, as multiprocessing makes one."""
    return pickle.loads(pickle.dumps(original))


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_copy_goes_on_by_itself(kind, copied, folder):
    """A copy made in mid-epoch gives the batches that the original gives, whichever of the two runs first."""
    expected = batches(data_net(kind, folder), 9)
    net = data_net(kind, folder)
    assert expected[:2] == batches(net, 2)
    one = copied(net)
    other = copied(one)

    assert expected[2:6] == batches(one, 4)
    assert expected[2:9] == batches(net, 7)
    assert expected[2:9] == batches(other, 7)
    assert expected[6:9] == batches(one, 3)


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copy_of_a_solver(copied, folder):
    """It trains on by itself, on the batches and with the numbers of the original."""
    net = proto_text.parse("""layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 8 weight_filler { type: "xavier" } } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }""", NetParameter())
    net.layer.insert(0, data_net("Data", folder).param.layer[0])
    solver = SGDSolver(SolverParameter(net_param=net, base_lr=1e-4, lr_policy="fixed", momentum=0.9, max_iter=9))
    solver.step(2)
    other = copied(solver)
    other.step(3)
    assert 2 == solver.iter
    solver.step(3)

    for mine, its in zip(solver.net.params["ip"], other.net.params["ip"], strict=True):
        assert np.ptp(mine.data) > 0
        np.testing.assert_array_equal(mine.data, its.data)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this machine has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("kind", LAYERS)
def test_a_forked_process_goes_on_by_itself(kind, folder):
    """A fork has no threads, yet it gives the batches that the original gives, however many were read in advance."""
    net = data_net(kind, folder)
    batches(net, 2)
    expected = batches(copy.deepcopy(net), 9)
    child = os.fork()
    if not child:
        signal.alarm(60)
        os._exit(0 if batches(net, 9) == expected else 3)
    assert os.waitpid(child, 0)[1] == 0
    assert expected == batches(net, 9)


def test_copies_leave_no_thread(folder):
    """Each copy has a thread of its own, which ends with it."""
    net = data_net("Data", folder)
    copies = [copy.deepcopy(net) for _ in range(3)]
    assert 4 == sum(thread.name == "prefetch" for thread in threading.enumerate())
    del net, copies
    gc.collect()

    assert not any(thread.name == "prefetch" for thread in threading.enumerate())


def test_a_copy_of_a_database_that_was_replaced(folder):
    """The copy opens the database again; where another one has its name now, that is an error and no mixture."""
    net, source = data_net("Data", folder), LmdbSource(folder / "lmdb")
    assert list(source.records()) == list(copy.deepcopy(source).records())
    write_lmdb(folder / "lmdb", [(f"{i:08d}", make(x, 0)) for i, x in enumerate(IMAGES[::-1])], replace=True)
    with pytest.raises(DataError, match=r"data\.mdb: this file is being written"):
        copy.deepcopy(net)
    (folder / "lmdb" / "data.mdb").unlink()
    with pytest.raises(DataError, match=r"data\.mdb: this file cannot be opened again: No such file"):
        copy.deepcopy(net)

    assert 7 == len(list(source.records()))  # the file that is open is still the old one
