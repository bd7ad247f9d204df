"""DataSource: what a data layer declares, for ours and for a user's."""

import inspect
import logging
import sys
import textwrap
import warnings

import numpy as np
import pytest
from net_tools import layer

from minicaffe import DataSource, LayerError, Net
from minicaffe.blob import Blob
from minicaffe.layer import Layer, layer_class, registered_types, source_of
from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.records import facts
from minicaffe.solvers import get_solver
from minicaffe.solvers.schedule import epochs

ROWS = """
import numpy as np
from minicaffe.layer import DataSource, Layer


class Rows(DataSource):
    tops = 2

    def setup(self, bottom, top):
        self.rows = np.arange(int(self.param_str))
        self.batch_size, self.epoch_size, self.cursor, self.whole_epochs = 5, len(self.rows), 0, False

    def reshape(self, bottom, top):
        for blob in top:
            blob.reshape(self.taken(), *([1] if blob is top[0] else []))

    def taken(self):
        left = self.epoch_size - self.cursor % self.epoch_size
        return min(5, left) if self.whole_epochs else 5

    def forward(self, bottom, top):
        chosen = np.arange(self.cursor, self.cursor + self.taken()) % self.epoch_size
        top[0].data[:, 0] = self.rows[chosen]
        top[1].data[...] = self.rows[chosen] % 4
        self.keys = [f"row {i}" for i in chosen]
        self.cursor += len(chosen)


class OldRows(Layer):
    bottoms, tops, backward_reads = 0, 2, ()
    setup, reshape, taken, forward = Rows.setup, Rows.reshape, Rows.taken, Rows.forward

    def backward(self, top, propagate_down, bottom):
        pass


class WithKeys(Layer):
    def setup(self, bottom, top):
        self.keys = np.zeros(5)

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data
"""
READS = ("Data", "HDF5Data", "ImageData", "MemoryData", "WindowData")


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """A module with a user's data layers in the current folder."""
    (tmp_path / "my_rows.py").write_text(ROWS)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("my_rows", None)


def rows(name, number=13):
    return layer("Python", "", "x t", f'python_param {{ module: "my_rows" layer: "{name}" param_str: "{number}" }}')


TAIL = layer("InnerProduct", "x", "ip", "inner_product_param { num_output: 4 }") \
    + layer("SoftmaxWithLoss", "ip t", "loss")


def solver_on(net, fields):
    return get_solver(proto_text.parse(f'net_param {{ {net} }} base_lr: 0.1 lr_policy: "fixed" {fields}',
                                       SolverParameter()))


def old_and_new(function):
    """The test with a declared data layer, and with one that only has the attributes, which is warned of."""
    function = pytest.mark.filterwarnings("ignore:.*is taken for a data layer:DeprecationWarning")(function)
    return pytest.mark.parametrize("name", ["Rows", "OldRows"])(function)


@pytest.mark.parametrize("name", registered_types())
def test_which_of_our_layers_are_sources(name):
    """A layer that reads samples is a DataSource, and so is DummyData, which makes them up; Input is not."""
    assert issubclass(layer_class(name), DataSource) == (name in (*READS, "DummyData"))


def test_what_a_source_leaves_alone():
    """A layer that declares nothing has the defaults, and a snapshot keeps nothing of it."""
    class Bare(DataSource):
        pass

    source = Bare()
    assert ([], 0, None, None, False, None) == (list(source.keys), source.batch_size, source.epoch_size, source.cursor,
                                                source.random_start, source.whole_epochs)
    assert {} == source.resume_state()
    source.resume_from({})
    source.backward([], [], [])


def test_a_cursor_is_kept_in_snapshots():
    """A cursor is all the state that a plain source has."""
    class Counting(DataSource):
        cursor = 7

    source = Counting(name="rows")
    assert {"cursor": 7} == source.resume_state()
    source.resume_from({"cursor": 12})
    assert source.cursor == 12
    with pytest.raises(LayerError, match=r"layer 'rows' .*: cannot go on after -1 samples"):
        source.resume_from({"cursor": -1})
    assert source.cursor == 12


@old_and_new
def test_epochs(name):
    """max_epoch counts the samples, and a whole test sees each of them once."""
    solver = solver_on(rows(name) + TAIL, "max_epoch: 5 test_iter_auto: true test_interval: 100")

    assert solver.param.max_iter == 13
    assert list(solver.param.test_iter) == [3]
    assert solver.test_nets[0].layers[0].whole_epochs is True
    solver.test(0)
    assert solver.test_nets[0].layers[0].cursor == 13
    assert 3 / 5 == epochs.share_of_batch(solver.test_nets[0])
    assert 13 / 5 == facts.updates_per_epoch(solver)


def test_epochs_of_large_updates(caplog):
    """An update has iter_size · shards batches."""
    caplog.set_level(logging.INFO, "minicaffe")
    solver = solver_on(rows("Rows") + TAIL, "max_epoch: 16 iter_size: 3 shards: 2")

    assert -(-16 * 13 // (5 * 3 * 2)) == 7 == solver.param.max_iter
    assert "max_epoch 16 is max_iter 7: 13 samples in layer x, 30 an update" in caplog.text
    assert 13 / (5 * 3 * 2) == facts.updates_per_epoch(solver)


@old_and_new
def test_the_record_of_a_bad_sample_is_named(name):
    """The message about a label says which row it stands in."""
    net = Net(proto_net(rows(name, number=13) + TAIL.replace("num_output: 4", "num_output: 3")))
    with pytest.raises(LayerError, match=r"\(record 'row 3' of data layer 'x'\)"):
        net.forward()


def proto_net(text):
    from minicaffe.proto import NetParameter

    return proto_text.parse(text, NetParameter())


def test_going_on_from_a_snapshot_of_caffes(tmp_path, caplog):
    """Without a .resume file the cursor follows from the updates that were made."""
    caplog.set_level(logging.INFO, "minicaffe")
    first = solver_on(rows("Rows") + TAIL, f'snapshot: 2 iter_size: 3 snapshot_prefix: "{tmp_path}/s"')
    first.step(2)
    (tmp_path / "s_iter_2.resume").unlink()
    second, third = solver_on(rows("Rows") + TAIL, "iter_size: 3"), solver_on(rows("Rows") + TAIL, "shards: 4")
    for solver in (second, third):
        solver.restore(f"{tmp_path}/s_iter_2.solverstate")

    assert second.net.layers[0].cursor == first.net.layers[0].cursor == 30
    assert third.net.layers[0].cursor == 2 * 4 * 5
    assert "Data layer x goes on after 30 samples" in caplog.text


@pytest.mark.parametrize("change", [{"random_start": True}, {"cursor": None}, {"batch_size": 0}])
def test_a_source_that_cannot_go_on_by_count(tmp_path, change):
    """A count of samples says nothing after a random start, and a source without cursor or batch size has no count."""
    first = solver_on(rows("Rows") + TAIL, f'snapshot: 2 snapshot_prefix: "{tmp_path}/s"')
    first.step(2)
    (tmp_path / "s_iter_2.resume").unlink()
    second = solver_on(rows("Rows") + TAIL, "")
    vars(second.net.layers[0]).update(change)
    second.restore(f"{tmp_path}/s_iter_2.solverstate")

    assert second.net.layers[0].cursor in (0, None)


def test_a_resumed_training_reads_on(tmp_path):
    """With the .resume file a user's DataSource stands where it stood, without a line of its own."""
    first = solver_on(rows("Rows") + TAIL, f'random_seed: 1 snapshot: 2 snapshot_prefix: "{tmp_path}/s"')
    first.step(2)
    second = solver_on(rows("Rows") + TAIL, "random_seed: 1")
    second.restore(f"{tmp_path}/s_iter_2.solverstate")

    assert second.net.layers[0].cursor == 10
    first.step(1)
    second.step(1)
    np.testing.assert_array_equal(first.net.blobs["x"].data, second.net.blobs["x"].data)


def test_a_layer_with_the_attributes_alone_is_warned_of():
    """A layer that has the attributes but is no DataSource is accepted, and a DeprecationWarning says what to do."""
    with pytest.warns(DeprecationWarning, match="layer 'x': OldRows is taken for a data layer, for it has "
                                                "epoch_size, cursor, whole_epochs; let it be a subclass of"):
        net = Net(proto_net(rows("OldRows") + TAIL))
    net.forward()

    assert net.layers[0].keys[:2] == ["row 0", "row 1"]


def test_a_layer_within_the_net_may_have_keys_of_its_own():
    """Only a layer without bottoms brings data: another one's `keys` are something else, and no warning comes."""
    net = Net(proto_net(rows("Rows") + layer("Python", "x", "y", 'python_param { module: "my_rows" layer: "WithKeys" }')
                        + TAIL.replace('bottom: "x"', 'bottom: "y"').replace("num_output: 4", "num_output: 3")))

    assert source_of(net.layers[-3]) is None
    with pytest.raises(LayerError) as error:
        net.forward()
    assert str(error.value).count("(record ") == 1


def test_old_layers_are_asked_as_before():
    """What a layer that is no DataSource lacks comes from its message, as before there was a DataSource."""
    class OldLayer(Layer):
        message = "data_param"
        cursor = 3

        @property
        def epoch_size(self):
            raise RuntimeError("computed without need")

    old = OldLayer(data_param={"batch_size": 4, "rand_skip": 2})
    source = source_of(old)
    assert (4, True, 3, None, ()) == (source.batch_size, source.random_start, source.cursor, source.whole_epochs,
                                      source.keys)
    source.cursor = 8
    assert old.cursor == 8
    assert (0, False) == (source_of(BareLayer()).batch_size, source_of(BareLayer()).random_start)


class BareLayer(Layer):
    cursor = 0


def test_a_base_is_no_layer():
    """A prototxt cannot name DataSource itself."""
    with pytest.raises(LayerError, match="my_rows.DataSource is a base class for layers"):
        Net(proto_net(rows("DataSource")))


def test_the_example_in_the_docstring(tmp_path):
    """The class in DataSource's docstring reads a file row by row."""
    text = inspect.cleandoc(DataSource.__doc__)
    names = {"np": np, "DataSource": DataSource}
    exec(textwrap.dedent(text[text.index("    class RowsLayer"):]), names)
    np.savetxt(tmp_path / "rows.txt", np.arange(70).reshape(35, 2))
    made, top = names["RowsLayer"](name="rows"), Blob(())
    made.param_str = "rows.txt"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.SetUp([], [top])
        made.Forward([], [top])
        made.Forward([], [top])

    np.testing.assert_array_equal([64, 66, 68, 0, 2], top.data[:5, 0])
    assert (64, "row 32") == (made.cursor, made.keys[0])
