"""Each field of a net and its layers with 0, -1, NaN, infinity, an empty text and without its partner."""

import re
from functools import partial

import numpy as np
import pytest
from fork_rows import FORK_TABLES
from layer_rows import TABLES as CAFFES_TABLES
from layer_rows import VECTORS, one
from rows import ALLOWED, ERROR, ODD, WARNING, columns, filled, outcome, put, set_otherwise

from minicaffe import TRAIN, Net
from minicaffe.data.datum import make
from minicaffe.data.lmdb import write_lmdb
from minicaffe.errors import LayerError
from minicaffe.io import image
from minicaffe.layer import layer_class, registered_types
from minicaffe.proto import LayerParameter, NetParameter, forks
from minicaffe.proto import text as proto_text

TABLES = [*CAFFES_TABLES, *FORK_TABLES]
NOT_DEFINITIONS = {"V1LayerParameter", "V0LayerParameter", "BlobProto", "SaveOutputParameter"}
CLASSES = [layer_class(name) for name in registered_types()]
CELLS = [(table, row, column, expected) for table in TABLES for row in table.rows
         for column, expected in row.expected()]
PARTNERS = [(table, row, *getattr(row, what)) for table in TABLES for row in table.rows
            for what in ("alone", "missing") if getattr(row, what)]


def messages(follow, descriptor=NetParameter.DESCRIPTOR):
    """The message types that a net is defined with, by name: those that fields (descriptors) to `follow` lead to."""
    found, waiting = {}, [descriptor]
    while waiting:
        one = waiting.pop()
        if one.name not in found and one.name not in NOT_DEFINITIONS:
            found[one.name] = one
            waiting += [field.message_type for field in one.fields if field.message_type and follow(field)]
    return found


OF_BVLC = messages(lambda field: not forks.is_of_fork(field))


def is_read(field):
    """Whether minicaffe reads a field (a descriptor).

    These are BVLC's and our own, a fork's field of a BVLC message that a type says it reads, and all fields of a fork's
    message that a type reads.
    """
    outer = field.containing_type
    if outer.name not in OF_BVLC or not forks.is_of_fork(field):
        return True
    if outer.name == "LayerParameter":
        return any(field.name in (cls.message, *cls.also_reads) for cls in CLASSES)
    parts = LayerParameter.DESCRIPTOR.fields_by_name
    return any(field.name in cls.fork_fields and parts[cls.message].message_type is outer for cls in CLASSES)


MESSAGES = messages(is_read)


def message_of(table, net):
    """The message of a table in its net."""
    if table.path in (None, "NetState"):
        return net if table.path is None else net.state
    found = next(layer for layer in net.layer if layer.name == "y")
    for name in table.path.split(".") if table.path else ():
        found = getattr(found, name)
        found = found[0] if hasattr(found, "add") else found
    return found


def change(table, net, fields):
    """Add fields, in prototxt, to the message of a table; 'clear NAME' takes one away first."""
    message = message_of(table, net)
    words = fields.split()
    while words[:1] == ["clear"]:
        message.ClearField(words[1])
        words = words[2:]
    proto_text.parse(" ".join(words), message)


def start(net):
    """Make the net and run it once."""
    made = Net(net, None if net.HasField("state") else TRAIN)
    draw = np.random.default_rng(3)
    for name in made.inputs:
        shape = made.blobs[name].shape
        made.blobs[name].data[...] = draw.integers(2, size=shape) if name in ("label", "t", "c") else (
            draw.random(shape) + 0.5)
    for made_layer in made.layers:
        if made_layer.type == "MemoryData":
            made_layer.reset(np.ones((1, 1, 1, 1)), np.ones(1))
    made.forward()


@pytest.fixture
def folder(request, own_folder):
    """The folder in which a net is made, with the files that its data layer reads."""
    net = request.getfixturevalue("table").net
    if '"db"' in net:
        write_lmdb("db", [(f"{i}".encode(), make(np.full((1, 4, 3), i, np.uint8), i)) for i in range(3)])
    if '"list"' in net or '"windows"' in net:
        (own_folder / "a.png").write_bytes(image.encode(np.ones((3, 8, 6), np.uint8)))
        (own_folder / "list").write_text("a.png 1\n")
        (own_folder / "windows").write_text("# 0\na.png\n3\n8\n6\n2\n1 0.9 1 1 3 3\n1 0.1 2 2 4 4\n")
    (own_folder / "of_the_user.py").write_text("from minicaffe.layers.activation.abs_val import AbsValLayer as Same\n")


def given(table):
    return proto_text.parse(table.net, NetParameter())


def test_each_message_and_each_field_has_its_row():
    """Each field that is read has a row that says what its odd values do, and no row is for one that does not exist."""
    rows = {table.message: {row.field for row in table.rows} for table in TABLES}
    rows["LayerParameter"] |= {table.path for table in TABLES if re.fullmatch(r"\w+_param", table.path or "")}

    assert len(rows) == len(TABLES)
    assert {name: {field.name for field in one.fields if is_read(field)} for name, one in MESSAGES.items()} == rows
    assert all(len({row.field for row in table.rows}) == len(table.rows) for table in TABLES)


def _becomes_a_layer(field):
    """Return whether a pass takes the field out of the layer and makes a layer of its own of it."""
    return field.name == "relu" and field.containing_type.name in ("ConvolutionParameter", "InnerProductParameter",
                                                                   "BatchNormParameter")


def expected_of_unread(field):
    """What the page of differences says of a fork's field that no type reads."""
    outer = field.containing_type.name
    if field.name in forks.LEFT_ASIDE or outer == "NetParameter" or _becomes_a_layer(field):
        return ALLOWED
    if outer == "FillerParameter":  # as a field of BVLC's that the filler of this type does not read
        return WARNING
    return ALLOWED if outer == "LayerParameter" and not field.name.endswith("_param") else ERROR


@pytest.mark.parametrize("table", [table for table in TABLES if not all(map(is_read, MESSAGES[table.message].fields))],
                         ids=lambda table: table.message)
def test_a_field_of_a_fork_that_no_type_reads(table, caplog, folder):
    """One that changes the numbers is refused by its name; one that says how to compute is left aside."""
    for field in MESSAGES[table.message].fields:
        if not is_read(field):
            net = given(table)
            set_otherwise(message_of(table, net), field)

            found, said = outcome(caplog, field.name, partial(start, net))

            assert (expected_of_unread(field), said) == (found, said), field.name


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.message)
def test_each_row_says_what_the_type_can_hold(table):
    """A row has an outcome for each odd value that its field can hold, for no other, and a reason."""
    fields = MESSAGES[table.message].fields_by_name

    assert {row.field: columns(fields[row.field]) for row in table.rows} == {
        row.field: filled(row) for row in table.rows}
    assert all(row.reason for row in table.rows)


@pytest.mark.parametrize(("table", "row", "column", "expected"), CELLS,
                         ids=[f"{table.message}.{row.field}-{column}" for table, row, column, _ in CELLS])
def test_an_odd_value(table, row, column, expected, caplog, folder):
    """The value has the outcome of the table, and its message names the field."""
    net = given(table)
    change(table, net, row.context)
    put(message_of(table, net), row.field, ODD[column])
    found, said = outcome(caplog, row.field, lambda: start(net))

    assert (expected, said) == (found, said)


@pytest.mark.parametrize(("table", "row", "expected", "fields"), PARTNERS,
                         ids=[f"{table.message}.{row.field}" for table, row, *_ in PARTNERS])
def test_without_the_partner(table, row, expected, fields, caplog, folder):
    """A field without the one that it needs, or missing where another needs it, has the outcome of the table."""
    net = given(table)
    change(table, net, fields)
    found, said = outcome(caplog, row.field, lambda: start(net))

    assert (expected, said) == (found, said)


@pytest.mark.parametrize(("net", "field", "expected", "words"), [
    (one("Convolution", "convolution_param", "num_output: 2 kernel_size: 3", VECTORS), "kernel_size", ERROR,
     "kernel_size has no axis to work along: bottom[0] has none after axis 1, got [3]"),
    (one("Deconvolution", "convolution_param", "num_output: 2 kernel_size: 3", VECTORS), "kernel_size", ERROR,
     "no axis"),
    (one("Convolution", "convolution_param", "num_output: 2 kernel_size: 1 pad: 1", VECTORS), "pad", ERROR, "got [1]"),
    (one("Convolution", "convolution_param", "num_output: 2 kernel_size: 1 stride: 2", VECTORS), "stride", ERROR,
     "got [2]"),
    (one("Convolution", "convolution_param", "num_output: 2 kernel_size: 1 pad: 0", VECTORS), "kernel_size", ALLOWED,
     ""),
    (one("Convolution", "convolution_param", "num_output: 2", VECTORS), "kernel_size", ALLOWED, ""),
    (one("BatchNorm", "batch_norm_param", "moving_average_fraction: 1.5"), "moving_average_fraction", ERROR,
     "must lie in [0, 1], got 1.5"),
    (one("BatchNorm", "batch_norm_param", "moving_average_fraction: 1"), "moving_average_fraction", ALLOWED, ""),
    (one("InnerProduct", "inner_product_param", 'num_output: 2 weight_filler { type: "gaussian" sparse: -2 }'),
     "sparse", ERROR, "weight_filler.sparse must be at least 0, or -1 for all weights, got -2"),
    (one("InnerProduct", "inner_product_param", 'num_output: 2 bias_filler { type: "uniform" max: -1 }'), "min", ERROR,
     "bias_filler.min must not lie above max, -1, got 0"),
    (one("InnerProduct", "inner_product_param", "num_output: 2", more="param { lr_mult: -1 decay_mult: -1 }"),
     "decay_mult", ALLOWED, ""),
    (one("Eltwise", "eltwise_param", "coeff: 1 coeff: nan", bottoms="x x"), "coeff", ERROR,
     "eltwise_param.coeff must be a finite number, got nan"),
    (one("ReLU", "", more="include { min_level: -1 }") + "state { level: -1 }", "level", ALLOWED, ""),
    (one("ReLU", "", more='exclude { not_stage: "deploy" }') + 'state { stage: "deplyo" stage: "deploy" }', "stage",
     WARNING, "stage 'deplyo' has no effect: no layer's rule names it (did you mean 'deploy'?)"),
    ('layers { name: "y" type: RELU bottom: "x" top: "y" include { stage: "a" } } input: "x" input_dim: [1, 1, 1, 1] '
     'state { stage: "a" }', "stage", ALLOWED, ""),
    (one("ReLU", "", more="blobs { shape { dim: 1 } data: 1 }"), "blobs", WARNING,
     "layer 'y' (ReLU): blobs is given 1 times, but the layer has 0: the rest has no effect"),
    (one("DummyData", "dummy_data_param", "shape { dim: 2 } data_filler { } data_filler { value: 3 }", "", ""),
     "data_filler", ERROR, "or not at all, got ['', 'value: 3']"),
    (one("ReLU", "", more="loss_weight: -inf"), "loss_weight", ERROR, "must be a finite number, got -inf"),
])
def test_what_one_cell_cannot_say(net, field, expected, words, caplog):
    """Values that depend on another field or on the bottom have their outcome, in one message with these words."""
    found, said = outcome(caplog, field, lambda: start(proto_text.parse(net, NetParameter())))

    assert (expected, bool(words)) == (found, len(said) == 1)
    assert words in "".join(said)


def test_the_message_names_the_line(tmp_path):
    """An error of a field gives the file and the line of its layer."""
    (tmp_path / "net.prototxt").write_text("name: 'two'\n" + one("LRN", "lrn_param", "alpha: nan"))

    with pytest.raises(LayerError) as error:
        Net(tmp_path / "net.prototxt")
    assert f"{tmp_path / 'net.prototxt'}:3" == error.value.where
    assert "layer 'y' (LRN): lrn_param.alpha must be a finite number, got nan" == error.value.message
