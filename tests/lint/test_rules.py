"""The rules about nets that learn nothing: what each finds, and what is no finding."""

import pytest
from net_tools import fully_connected, inputs, layer

from minicaffe import TEST, TRAIN, Net, lint
from minicaffe.cli.__main__ import main
from minicaffe.errors import MinicaffeError
from minicaffe.solvers.doctor.doctor import HINTS

X, F = inputs(x=(2, 3)), fully_connected("x", "f", 3)
LABEL, TARGET = inputs(label=(2,)), inputs(t=(2, 3))
DATA = ('layer { name: "d" type: "DummyData" top: "x" top: "label" dummy_data_param { shape { dim: 2 dim: 3 } '
        'shape { dim: 2 } data_filler { type: "gaussian" } data_filler { type: "constant" } } }\n')
LOSS = layer("SoftmaxWithLoss", "f label", "loss")
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1 snapshot_prefix: "s" %s'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Nets and trainings of these tests stand in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(text, phase=TRAIN, alone=True, **options):
    """(rule, severity, line) of each finding in a net."""
    with open("net.prototxt", "w") as file:
        file.write(text)
    findings = lint.check(Net("net.prototxt", phase, shapes_only=True), alone=alone, **options)
    return [(one.rule, one.severity, int(one.where.split(":")[1]) if ":" in one.where else 0) for one in findings]


@pytest.mark.parametrize(("text", "want"), [
    (X + LABEL + F + LOSS, [("unfilled-input", "error", 1)]),
    ('input: "x" input_shape { dim: 2 dim: 3 }\n' + LABEL + F + LOSS, [("unfilled-input", "error", 1)]),
    (DATA.replace('top: "label"', 'top: "y"') + LABEL + F + LOSS, [("unfilled-input", "warning", 2)]),
    (DATA + F + LOSS, []),
    (DATA + inputs(z=(2, 3)) + layer("Silence", "z", "", name="s") + F + LOSS, []),
    (DATA + inputs(z=(2, 3)) + F + LOSS, []),
    (DATA + inputs(z=(2, 3)) + layer("TanH", "z", "z", name="in place") + fully_connected("z", "g", 3) + F
     + layer("Eltwise", "f g", "h") + layer("SoftmaxWithLoss", "h label", "loss"),
     [("unfilled-input", "warning", 2)]),
], ids=["all", "old form", "label alone", "none", "silenced", "read by nobody", "through a chain"])
def test_unfilled_input(text, want):
    """An Input that a loss depends on is an error where it is all the data there is, else a warning."""
    assert [one for one in found(text) if one[0] == "unfilled-input"] == want
    assert found(text, alone=False) == []


def test_unfilled_input_of_a_test_net():
    """A test net's scores are no part of what is learned, so zeros there are a warning."""
    assert found(X + F + layer("Softmax", "f", "p"), TEST) == [("unfilled-input", "warning", 1)]


@pytest.mark.parametrize(("text", "want"), [
    (DATA + F, [("no-loss", "error", 0)]),
    (DATA + F + layer("SoftmaxWithLoss", "f label", "loss", "loss_weight: 0"), [("no-loss", "error", 3)]),
    (DATA + F + layer("SoftmaxWithLoss", "f label", "loss", "include { phase: TEST }"), [("no-loss", "error", 0)]),
    (DATA + layer("BatchNorm", "x", "n") + fully_connected("n", "f", 3), [("no-loss", "warning", 0)]),
    (DATA + F + LOSS, []),
    (DATA + F + layer("Reduction", "f", "sum", "loss_weight: 2"), []),
], ids=["none", "switched off", "left out", "statistics", "a loss", "a weight"])
def test_no_loss(text, want):
    """A training without a loss is an error, unless a layer may be wanted for what it does besides."""
    assert found(text) == want
    assert found(text, alone=False) == []
    assert found(text, TEST) == []


@pytest.mark.parametrize(("text", "want"), [
    (DATA + F + layer("SoftmaxWithLoss", "f label", "loss", "propagate_down: false propagate_down: false"),
     [("no-gradient", "warning")]),
    (DATA + F.replace("inner_product_param", "param { lr_mult: 0 } param { lr_mult: 0 } inner_product_param") + LOSS,
     [("no-gradient", "warning")]),
    (DATA + F.replace("inner_product_param", "param { lr_mult: 0 } inner_product_param") + LOSS, []),
    (DATA + layer("BatchNorm", "x", "n", name="x") + layer("SoftmaxWithLoss", "n label", "loss"), []),
    (DATA + layer("SoftmaxWithLoss", "x label", "loss"), []),
], ids=["propagate_down", "lr_mult", "a bias is learned", "statistics", "nothing to learn"])
def test_no_gradient(text, want):
    """A net whose weights get no gradient is said, unless a layer may be wanted for what it does besides."""
    assert [finding[:2] for finding in found(text)] == want
    assert found(text, alone=False) == []
    assert found(text, TEST) == []


TWICE = [("softmax-twice", "warning")]
SMALL = F + layer("Softmax", "f", "p")


@pytest.mark.parametrize(("text", "want"), [
    (SMALL + layer("SoftmaxWithLoss", "p label", "loss"), TWICE),
    (SMALL + layer("SoftmaxWithLoss", "p label", "loss") + layer("Accuracy", "p label", "a"), TWICE),
    (F + layer("Softmax", "f", "f", name="in place") + layer("SoftmaxWithLoss", "f label", "loss"), TWICE),
    (SMALL + layer("Dropout", "p", "p", name="drop") + layer("Flatten", "p", "flat")
     + layer("SoftmaxWithLoss", "flat label", "loss"), TWICE),
    (SMALL + inputs(h=(1, 1, 3, 3)) + layer("InfogainLoss", "p label h", "loss"), TWICE),
    (F + LOSS + layer("Softmax", "f", "p"), []),
    (SMALL + layer("MultinomialLogisticLoss", "p label", "loss"), []),
    (SMALL + LOSS + layer("Accuracy", "p label", "a"), []),
    (SMALL + layer("SoftmaxWithLoss", "p label", "shown", "loss_weight: 0") + LOSS, []),
    (SMALL + layer("SoftmaxWithLoss", "p label", "shown", "propagate_down: 0 propagate_down: 0") + LOSS, []),
    (SMALL + layer("Power", "p", "q", "power_param { scale: 20 }") + layer("SoftmaxWithLoss", "q label", "loss"), []),
    (SMALL + layer("Log", "p", "q") + layer("SoftmaxWithLoss", "q label", "loss"), []),
    (SMALL + fully_connected("p", "g", 4) + layer("SoftmaxWithLoss", "g label", "loss"), []),
    (F + layer("Reshape", "f", "r", "reshape_param { shape { dim: 2 dim: 3 dim: 1 } }")
     + layer("Softmax", "r", "p", "softmax_param { axis: 2 }") + layer("Flatten", "p", "q")
     + layer("SoftmaxWithLoss", "q label", "loss"), []),
    (F + layer("Softmax", "f", "p", "softmax_param { axis: -1 }") + layer("SoftmaxWithLoss", "p label", "loss"), TWICE),
    (SMALL + TARGET + layer("SigmoidCrossEntropyLoss", "p t", "loss"), []),
    (F + layer("Softmax", "f", "p", "include { phase: TEST }") + LOSS, []),
], ids=["plain", "split", "in place", "dropout and flatten", "infogain", "beside it", "multinomial", "for accuracy",
        "weight 0", "no gradient", "temperature", "log", "attention", "another axis", "the same axis",
        "other loss", "another phase"])
def test_softmax_twice(text, want):
    """A Softmax whose probabilities SoftmaxWithLoss takes for scores is found, and no other use of it is."""
    assert [one[:2] for one in found(DATA + text, alone=False)] == want


@pytest.mark.parametrize(("text", "rules"), [
    (layer("Sigmoid", "f", "p") + layer("SigmoidCrossEntropyLoss", "p t", "loss"), ["sigmoid-twice"]),
    (layer("Sigmoid", "f", "f", name="p") + layer("SigmoidCrossEntropyLoss", "f t", "loss"), ["sigmoid-twice"]),
    (layer("Sigmoid", "f", "p") + layer("EuclideanLoss", "p t", "loss"), []),
    (layer("SigmoidCrossEntropyLoss", "f t", "loss") + layer("Sigmoid", "f", "p"), []),
    (layer("Sigmoid", "t", "soft") + layer("SigmoidCrossEntropyLoss", "f soft", "loss"), [])],
    ids=["plain", "in place", "euclidean", "beside it", "soft targets"])
def test_sigmoid_twice(text, rules):
    """The same for a Sigmoid in front of SigmoidCrossEntropyLoss; targets may well come out of one."""
    assert [one[0] for one in found(X + TARGET + F + text, alone=False)] == rules


ANSWERS = layer("SigmoidCrossEntropyLoss", "f t", "loss")


@pytest.mark.parametrize(("text", "rules"), [
    (ANSWERS + layer("Accuracy", "f label", "a"), ["accuracy-of-answers"]),
    (ANSWERS + layer("Dropout", "f", "d") + layer("Accuracy", "d label", "a"), ["accuracy-of-answers"]),
    (LOSS + layer("Accuracy", "f label", "a"), []),
    (ANSWERS + fully_connected("x", "g", 3) + layer("Accuracy", "g label", "a"), []),
    (ANSWERS + layer("EuclideanLoss", "f t", "distance"), [])],
    ids=["the same scores", "through a Dropout", "one right class", "other scores", "a second loss"])
def test_accuracy_of_answers(text, rules):
    """Accuracy is found where a loss takes its scores as questions of their own, and nowhere else."""
    assert [one[0] for one in found(X + TARGET + LABEL + F + text, alone=False)] == rules


def test_a_finding_names_place_rule_and_cure():
    """What a user reads has the file and line of the loss, both layers, the rule's name and the blob to take."""
    found(DATA + F + layer("Softmax", "f", "p") + layer("SoftmaxWithLoss", "p label", "loss")
          + layer("Accuracy", "f label", "a"))
    finding, = lint.check(Net("net.prototxt"))

    assert str(finding) == (
        "net.prototxt:4: layer 'loss' (SoftmaxWithLoss) reads layer 'p' (Softmax), but takes the softmax itself: it is "
        "taken twice, and the net learns slowly or not at all (rule softmax-twice)\n  hint: let the loss read 'f', "
        "what layer 'p' reads; Softmax belongs in the net that is deployed")
    assert finding.layer == "loss"


def test_every_rule_can_be_silenced():
    """Each rule has a name and a sentence; silenced, it finds nothing, and a name that is none is an error."""
    text = X + inputs(label=(2,)) + F + layer("Softmax", "f", "p") + layer("SoftmaxWithLoss", "p label", "loss")
    assert [one[0] for one in found(text)] == ["unfilled-input", "softmax-twice"]
    assert found(text, silence=["unfilled-input", "softmax-twice"]) == []
    assert found(text, silence=lint.rules()) == []
    assert all(rule.__doc__ for rule in lint.rules().values())
    with pytest.raises(MinicaffeError, match=r"no rule 'softmax-twise'.*\n  hint: did you mean 'softmax-twice'"):
        found(text, silence=["softmax-twise"])


def train(text, *flags, solver="", capsys):
    """The exit status of a training of one update, and what it said."""
    with open("net.prototxt", "w") as file:
        file.write(text)
    with open("solver.prototxt", "w") as file:
        file.write(SOLVER % solver)
    status = main(["train", "--solver", "solver.prototxt", "--no-record", *flags])
    return status, capsys.readouterr().err


def test_train_stops_where_it_can_only_be_a_mistake(capsys, folder):
    """minicaffe train ends before the first iteration, with the place and the flag for who means it."""
    status, said = train(X + LABEL + F + LOSS, capsys=capsys)
    assert status == 1
    assert "error: net.prototxt:1: layers 'x', 'label' (Input) are not filled" in said
    assert "--silence unfilled-input" in said
    assert not list(folder.glob("s_*"))
    assert train(X + LABEL + F + LOSS, "--silence", "unfilled-input", capsys=capsys)[0] == 0


def test_train_warns_once_of_what_both_nets_have(capsys):
    """What the train net and the test net have in common is said once, and training goes on."""
    text = DATA + F + layer("Softmax", "f", "p") + layer("SoftmaxWithLoss", "p label", "loss")
    status, said = train(text, solver="test_iter: 1 test_interval: 1", capsys=capsys)
    assert status == 0
    assert said.count("(rule softmax-twice)") == 1
    assert "softmax-twice" not in train(text, "--silence", "no-loss,softmax-twice", capsys=capsys)[1]


def test_train_knows_the_names_of_the_rules(capsys):
    """--silence of an unknown rule ends before anything is read; the doctor's hints are among the rules."""
    status, said = train("", "--silence", "los-growth", capsys=capsys)
    assert status == 1
    assert "did you mean 'loss-growth'" in said
    assert lint.silenced(HINTS) == set(HINTS)
