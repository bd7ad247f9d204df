"""Each field of SolverParameter with 0, a negative number, NaN, infinity, an empty text and without its partner."""

import pytest
from rows import ALLOWED, ERROR, ODD, WARNING, columns, filled, outcome, put, set_otherwise
from solver_rows import OF_FORKS, ROWS

from minicaffe.errors import SolverError
from minicaffe.proto import NetParameter, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import definition, get_solver

NET = """
  layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 5 dim: 3 } } }
  layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 5 dim: 2 } } }
  layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
          inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "t" top: "loss" }
"""
DEFAULTS = {"base_lr": "0.1", "lr_policy": '"fixed"', "max_iter": "2", "display": "1"}
NETS = ("net", "net_param", "train_net", "train_net_param")
VALUES = [(row, *cell) for row in ROWS for cell in row.expected()]
PARTNERS = [(row, what, *getattr(row, what)) for row in ROWS for what in ("alone", "missing") if getattr(row, what)]


def param(fields, but=""):
    """A SolverParameter of these fields and of those defaults that they leave out and that are not `but`."""
    given = proto_text.parse(fields, SolverParameter())
    for name, value in DEFAULTS.items():
        if not given.HasField(name) and name != but and not (name == "max_iter" and given.max_epoch):
            given.MergeFrom(proto_text.parse(f"{name}: {value}", SolverParameter()))
    return given


def start(given):
    """Make the solver and let it make one update."""
    if not any(given.HasField(name) for name in NETS):
        given.net_param.CopyFrom(proto_text.parse(NET, NetParameter()))
    solver = get_solver(given)
    solver.step(min(1, given.max_iter))


def test_each_field_has_a_row():
    """Each field has a row that says what is done with it, and no row is for a field that does not exist."""
    of_forks = " ".join(OF_FORKS.values()).split()

    assert sorted(SolverParameter.DESCRIPTOR.fields_by_name) == sorted([row.field for row in ROWS] + of_forks)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.field)
def test_each_row_says_what_the_type_can_hold(row):
    """A row has an outcome for each odd value that its field can hold, for no other, and a reason."""
    assert columns(SolverParameter.DESCRIPTOR.fields_by_name[row.field]) == filled(row)
    assert row.reason


@pytest.mark.parametrize(("row", "column", "expected"), VALUES, ids=[f"{v[0].field}-{v[1]}" for v in VALUES])
def test_an_odd_value(row, column, expected, caplog):
    """The value has the outcome of the table, and its message names the field."""
    given = param(row.context)
    put(given, row.field, ODD[column])
    found, said = outcome(caplog, row.field, lambda: start(given))

    assert (expected, said) == (found, said)
    if expected == WARNING:
        assert 1 == len(said)


@pytest.mark.parametrize(("field", "expected"), [(field, expected) for expected, names in OF_FORKS.items()
                                                for field in names.split()])
def test_a_field_of_a_fork(field, expected, caplog):
    """It is refused, has no effect, which is said, or is left aside."""
    given = param("")
    set_otherwise(given, SolverParameter.DESCRIPTOR.fields_by_name[field])
    found, said = outcome(caplog, field, lambda: start(given))

    assert (expected, said) == (found, said)


@pytest.mark.parametrize(("fields", "field", "expected", "words"), [
    ("momentum: 1", "momentum", ERROR, "must lie in [0, 1), got 1"),
    ('type: "Nesterov" momentum: 1.5', "momentum", ERROR, "must lie in [0, 1), got 1.5"),
    ('type: "AdaDelta" momentum: 1', "momentum", ERROR, "must lie in [0, 1), got 1"),
    ("momentum2: 0", "momentum2", WARNING, "is set, but neither solver type SGD nor"),
    ('type: "AdaGrad" momentum: 0', "momentum", ALLOWED, ""),
    ('lr_policy: "step" stepsize: 4', "gamma", WARNING, "0 from iteration 4 on: nothing more is learned"),
    ('lr_policy: "exp"', "gamma", WARNING, "gamma is missing, so it is 0 and the rate is 0 from iteration 1 on"),
    ('lr_policy: "multistep" stepvalue: 7', "gamma", WARNING, "0 from iteration 7 on"),
    ('lr_policy: "plateau" plateau_patience: 2 gamma: 0', "gamma", WARNING, "is 0 and the rate is 0 from the first"),
    ('lr_policy: "inv" power: 1', "gamma", WARNING, "the rate is base_lr all along"),
    ('lr_policy: "sigmoid" stepsize: 5', "gamma", WARNING, "the rate is half of base_lr all along"),
    ('lr_policy: "poly" max_iter: 5 power: -1', "power", WARNING, "is -1 and the rate grows"),
    ('lr_policy: "multistep" gamma: 0.1 stepvalue: 6 stepvalue: 2', "stepvalue", WARNING,
     "2 stands behind 6, so its step is taken at iteration 7"),
    ('lr_policy: "multistep" gamma: 0.1 stepvalue: 3 stepvalue: 3', "stepvalue", WARNING, "taken at iteration 4"),
    ('lr_policy: "multistep" gamma: 0.1 stepvalue: 2 stepvalue: 6', "stepvalue", ALLOWED, ""),
    ("test_iter: 1 test_iter: 0 test_interval: 9", "test_iter", WARNING, "is 0 for test net #1"),
    ("random_seed: -5", "random_seed", WARNING, "is -5, which is no seed"),
    ("solver_mode: GPU device_id: 1", "device_id", WARNING, "solver_mode: GPU and device_id: 1 are set, but minicaffe"),
    ("solver_mode: CPU", "solver_mode", ALLOWED, ""),
    ("shards: 1", "shards", ALLOWED, ""),
    ("shards: 6", "shards", ERROR, "of two, such as 1, 2, 4 or 8, got 6\n  hint: write 4 or 8; iter_size may be"),
    ("shards: -8", "shards", ERROR, "got -8\n  hint: leave it out, for one shard"),
])
def test_what_one_cell_cannot_say(fields, field, expected, words, caplog):
    """Values that depend on another field have their outcome, in one message with these words."""
    found, said = outcome(caplog, field, lambda: start(param(fields)))

    assert (expected, bool(words)) == (found, len(said) == 1)
    assert words in "".join(said)


def test_the_message_names_the_line(own_folder, caplog):
    """An error and a warning give the line of the solver's file; a value that is not from there gives the file."""
    (own_folder / "net.prototxt").write_text(NET)
    text = 'net: "net.prototxt"\nbase_lr: 0.1\nmax_iter: 2\n\nlr_policy: "exp"\ngamma: %s\nmomentum: %s\n'
    (own_folder / "s.prototxt").write_text(text % ("0", "0.5"))
    with caplog.at_level("WARNING", "minicaffe"):
        get_solver("s.prototxt")
    assert ["s.prototxt:6: gamma is 0 and the rate is 0 from iteration 1 on: nothing more is learned"
            ] == caplog.messages

    (own_folder / "s.prototxt").write_text(text % ("0.5", "1.5"))
    with pytest.raises(SolverError, match=r"^s.prototxt:7: momentum must lie in \[0, 1\), got 1.5"):
        get_solver("s.prototxt")
    given = definition.read_solver("s.prototxt")
    list(definition.override(given, "momentum=2"))
    with pytest.raises(SolverError, match="^s.prototxt: momentum must lie"):
        get_solver(given, where="s.prototxt")


@pytest.mark.parametrize(("row", "what", "expected", "fields"), PARTNERS,
                         ids=[f"{v[0].field}-{v[1]}" for v in PARTNERS])
def test_without_the_partner(row, what, expected, fields, caplog):
    """A field without the one that it needs, or missing where another needs it, has the outcome of the table."""
    given = param(fields, but=row.field if what == "missing" else "")
    found, said = outcome(caplog, row.field, lambda: start(given))

    assert (expected, said) == (found, said)
    assert (what == "alone") == any(field.name == row.field for field, _ in given.ListFields())
