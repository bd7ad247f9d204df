"""OwnBatches, and a Test that several processes share. Here each process is a net of its own."""

import sys
from contextlib import nullcontext

import numpy as np
import pytest
from extras import needs
from net_tools import layer

from minicaffe import TEST, TRAIN, LayerError, Net, SolverError, rng
from minicaffe.proto import Datum, NetParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers.schedule import epochs
from minicaffe.solvers.schedule.own_batches import OwnBatches

SOURCES = """
import numpy as np
from minicaffe import pycaffe as caffe
from minicaffe.layer import DataSource, Layer


class Rows(DataSource):
    tops = 1

    def setup(self, bottom, top):
        self.batch_size, self.epoch_size, self.cursor, self.whole_epochs = 5, 13, 0, False

    def reshape(self, bottom, top):
        left = self.epoch_size - self.cursor % self.epoch_size
        top[0].reshape(min(5, left) if self.whole_epochs else 5)

    def forward(self, bottom, top):
        top[0].data[...] = np.arange(self.cursor, self.cursor + top[0].count) % self.epoch_size
        self.cursor += top[0].count


class OldRows(Layer):
    bottoms, tops, backward_reads = 0, 1, ()
    setup, reshape, forward = Rows.setup, Rows.reshape, Rows.forward

    def backward(self, top, propagate_down, bottom):
        pass


class NoCursor(DataSource):
    tops = 1

    def reshape(self, bottom, top):
        top[0].reshape(5)

    def forward(self, bottom, top):
        top[0].data[...] = 7


class AnyProcess(NoCursor):
    def take_turns(self, first, count, of):
        return True


class Broken(NoCursor):
    def take_turns(self, first, count, of):
        raise KeyError("in take_turns")


class NoSource(Layer):
    bottoms, tops, backward_reads = 0, 1, ()
    reshape, forward, backward = NoCursor.reshape, NoCursor.forward, OldRows.backward


class Script(caffe.Layer):
    def setup(self, bottom, top):
        pass

    reshape, forward, backward = NoCursor.reshape, NoCursor.forward, OldRows.backward


class ScriptOfAnyProcess(Script):
    def take_turns(self, first, count, of):
        return True
"""
PARTS, RANKS = 4, (1, 2, 4)


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """A module with users' data layers in the current folder."""
    (tmp_path / "my_sources.py").write_text(SOURCES)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("my_sources", None)


def python_layer(name):
    return layer("Python", "", "x", f'python_param {{ module: "my_sources" layer: "{name}" }}')


def net_of(text, phase=TEST):
    rng.seed(3)
    return Net(proto_text.parse(text, NetParameter()), phase)


def shared(text, ranks, of):
    """A net for each rank, and its own batches."""
    nets = [net_of(text) for _ in range(ranks)]
    return [(net, OwnBatches(net, rank * of // ranks, of // ranks, of)) for rank, net in enumerate(nets)]


def values(net):
    net.forward()
    return net.blobs["x"].data.astype(int).tolist()


# --- data layers that users write -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*is taken for a data layer:DeprecationWarning")
@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("name", ["Rows", "OldRows"])
def test_the_cursor_is_set_before_each_batch(name, ranks):
    """A user's layer with a cursor reads the samples of its process alone; a resume at another K goes on there."""
    one = net_of(python_layer(name))
    expected = [values(one) for _ in range(4 * PARTS)]
    found, state = [], {}
    for count in (ranks, 2):  # the ranks before a snapshot, and after it
        made = shared(python_layer(name), count, PARTS)
        for net, _ in made if state else ():
            net.layers[0].cursor = state["cursor"]
        for _ in range(2):
            for net, own in made:
                own.begin()
                for part in range(own.first, own.first + own.count):
                    own.place(part)
                    found.append(values(net))
                own.end(own.of)
        assert 1 == len({net.layers[0].cursor for net, _ in made})
        state = {"cursor": made[-1][0].layers[0].cursor}

    assert expected == found
    assert one.layers[0].cursor == state["cursor"] == 80


@pytest.mark.parametrize("name", ["NoCursor", "NoSource", "Script"])
def test_a_layer_without_a_cursor_cannot_be_shared(name, tmp_path):
    """The error names the layer, its type, its class, its line and the cure. One process alone may use the layer."""
    (tmp_path / "net.prototxt").write_text("# a net\n" + python_layer(name))
    net = Net("net.prototxt", TEST)
    with pytest.raises(SolverError) as error:
        OwnBatches(net, 2, 2, 4)
    assert str(error.value).startswith(f"net.prototxt:2: layer 'x' (Python, {name}): several processes cannot share "
                                       "the batches of this net, because it has no cursor")
    assert "take_turns" in error.value.hint
    own = OwnBatches(net, 0, 4, 4)
    own.begin()
    own.place(0)
    assert [7] * 5 == values(net)
    own.end(4)


def test_a_layer_that_must_see_every_batch():
    """HDF5Output writes what all batches have given. After the error the data layers read all batches again."""
    needs("h5py")
    net = net_of(python_layer("Rows") + layer("Split", "x", "y z")
                 + layer("HDF5Output", "y z", "", 'hdf5_output_param { file_name: "out.h5" }', name="out"))
    given = []
    type(net.layers[0]).take_turns = lambda self, *turns: given.append(turns) or True
    with pytest.raises(SolverError, match=r"layer 'out' \(HDF5Output\): .* because it must see every batch"):
        OwnBatches(net, 1, 1, 2)
    assert [(1, 1, 2), (0, 1, 1)] == given
    OwnBatches(net, 0, 2, 2)


@pytest.mark.parametrize("text", [
    python_layer("AnyProcess"), python_layer("ScriptOfAnyProcess"),
    layer("DummyData", "", "x", "dummy_data_param { shape { dim: 3 dim: 2 } }"),
    layer("Input", "", "x", "input_param { shape { dim: 3 dim: 2 } }"),
    layer("Parameter", "", "x", "parameter_param { shape { dim: 3 dim: 2 } }"),
    layer("ContinuationIndicator", "", "x", "continuation_indicator_param { time_step: 3 batch_size: 2 }")])
def test_layers_that_any_process_may_run(text):
    """They have no place in a source, so there is nothing to share and nothing to set."""
    net = net_of(text)
    own = OwnBatches(net, 1, 1, 4)
    own.begin()
    own.place(1)
    values(net)
    own.end(4)


def test_an_error_in_take_turns_names_the_layer():
    """As one in any other method of a Python layer."""
    with pytest.raises(LayerError, match=r"layer 'x'.*Broken\.take_turns raised KeyError"):
        OwnBatches(net_of(python_layer("Broken")), 0, 1, 2)


# --- tests ----------------------------------------------------------------------------------------------------------


def results_of(made, batches, tests):
    """For so many tests the (number, first sample, share) of each batch that counts, and the cursors after it."""
    found = []
    for _ in range(tests):
        counted = []
        for net, own in made:  # one after the other instead of side by side: no rank reads what another one does
            test, numbers = epochs.Test(net, batches, own), []
            for number in test:
                numbers.append(number)
                if number < batches:
                    first = np.ravel(values(net))[0]
                    counted.append((number, first, test.share()))
            if own:  # every process takes part in every round, also with nothing to do
                assert numbers == list(range(own.first, batches - 1 - (batches - 1) % own.of + own.of, own.of))
        found.append((sorted(one for one in counted if one[2]), {net.layers[0].cursor for net, _ in made}))
    return found


@pytest.fixture
def database(tmp_path):
    """A function that gives a Data layer on thirteen numbers, of which those with the given places are bad."""
    needs("lmdb")
    from minicaffe.data.lmdb import write_lmdb

    def make(bad, fields):
        path = tmp_path / "_".join(map(str, ["db", *bad]))
        if not path.exists():
            write_lmdb(path, [(f"{i:02d}", Datum(channels=1, height=1, width=1, data=b"" if i in bad else bytes([i])))
                              for i in range(13)])
        return layer("Data", "", "x", f'data_param {{ source: "{path}" backend: LMDB {fields} }}')

    return make


@pytest.mark.parametrize("bad", [(), (3,), (11,), (5, 6, 7, 8, 9), (0, 10, 11, 12)], ids=str)
@pytest.mark.parametrize("count", [1, 2])
def test_a_test_of_whole_epochs(database, bad, count):
    """Each readable sample counts once, in the order of the batches; each test begins with the first one."""
    text = database(bad, "batch_size: 5 partial_last_batch: true skip_bad: true")
    good = [[i for i in part if i not in bad] for part in np.split(np.arange(13), (5, 10))] * count
    expected = [(batch, part[0], len(part) / 5) for batch, part in enumerate(good) if part]
    for ranks in RANKS:
        results = results_of(shared(text, ranks, ranks), 3 * count, 2)
        assert [(expected, {13 * count}), (expected, {26 * count})] == results


@pytest.mark.parametrize("batches", [3, 7])
@pytest.mark.parametrize("source", ["Data", "Rows"])
def test_a_test_of_any_number_of_batches(database, source, batches):
    """After it each process stands where one process alone would stand, although the last round is not full."""
    text = python_layer("Rows") if source == "Rows" else database((), "batch_size: 5")
    alone = results_of([(net_of(text), None)], batches, 3)
    for ranks in RANKS:
        assert alone == results_of(shared(text, ranks, ranks), batches, 3)
    assert {3 * batches * 5} == alone[-1][1]


def test_a_users_layer_with_whole_epochs():
    """The places of its batches follow from the batch and the epoch, as those of our layers do."""
    def with_whole_epochs(made):
        for net, _ in made:
            net.layers[0].whole_epochs = True
        return made

    text = python_layer("Rows")
    alone = results_of(with_whole_epochs([(net_of(text), None)]), 6, 2)
    for ranks in RANKS:
        assert alone == results_of(with_whole_epochs(shared(text, ranks, ranks)), 6, 2)
    assert [{26}, {52}] == [cursors for _, cursors in alone]


@pytest.mark.parametrize("kind", ["LSTM", "RNN", "Lstm"])
@pytest.mark.parametrize(("first", "count", "of", "goes_on"), [(0, 1, 2, True), (0, 2, 2, False)])
def test_a_sequence_cannot_go_on_in_another_process(kind, first, count, of, goes_on):
    """δ = 0 in the first time step begins sequences anew. With δ = 1 one process must run all batches."""
    param = "lstm_param { num_output: 2 }" if kind == "Lstm" else "recurrent_param { num_output: 2 }"
    net = Net(proto_text.parse(f"""
        layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 4 dim: 3 dim: 5 }} }} }}
        layer {{ name: "d" type: "Input" top: "d" input_param {{ shape {{ dim: 4 dim: 3 }} }} }}
        layer {{ name: "r" type: "{kind}" bottom: "x" bottom: "d" top: "y" {param} }}""", NetParameter()), TRAIN)
    own = OwnBatches(net, first, count, of)
    net.blobs["d"].data[1:] = 1
    net.forward()
    own.check()
    net.blobs["d"].data[0, 1] = 1
    net.forward()

    with pytest.raises(SolverError, match="layer 'r' .*goes on") if goes_on else nullcontext():
        own.check()
