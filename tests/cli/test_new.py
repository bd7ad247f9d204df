"""`minicaffe new`: what it writes trains at once, and it never overwrites a file."""

import re
from pathlib import Path

import pytest
from extras import needs

from minicaffe.cli import new, new_data
from minicaffe.cli.__main__ import main
from minicaffe.io import prototxt
from minicaffe.proto import NetParameter, SolverParameter
from minicaffe.records import run_log

KINDS = sorted(new_data.MAKERS)
UPDATES = {"cifar": 150}  # until the loss has fallen by a fifth; 60 for the others
SLOW = {"finetune", "siamese", "cifar", "multilabel"}


def solver_of(folder):
    return prototxt.read(str(folder / "solver.prototxt"), SolverParameter())


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] if kind in SLOW else [])
                                  for kind in KINDS])
def test_it_trains_at_once(kind, tmp_path, monkeypatch, capsys):
    """The folder's solver runs as it is, but shorter, and the loss of the test set falls by a fifth or more."""
    needs("lmdb")
    needs("h5py")
    folder = tmp_path / "mine"
    assert 0 == main(["new", kind, str(folder)])
    printed = capsys.readouterr().out
    monkeypatch.chdir(folder)
    last = UPDATES.get(kind, 60)
    assert 0 == main(["train", "--solver", "solver.prototxt", "--override", f"max_iter={last},test_interval={last}"])

    losses = run_log.read(f"{solver_of(folder).snapshot_prefix}.run").test["loss"]
    assert [0, last] == [iteration for iteration, _ in losses]
    assert losses[1][1] < 0.8 * losses[0][1]
    assert {path.name for path in folder.iterdir()} >= set(re.findall(r"^  (\S+\.\S+|\w+_lmdb)", printed, re.MULTILINE))
    assert [folder] == list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_the_pages_fit_the_solver(kind):
    """The commands in a template's README name the files that its solver leaves, and test the whole test set."""
    folder = new.TEMPLATES / kind
    solver, page = solver_of(folder), (folder / "README.md").read_text(encoding="utf-8")
    prefix, last = solver.snapshot_prefix, solver.max_iter

    assert "    minicaffe train --solver solver.prototxt\n" in page
    assert f"    minicaffe plot {prefix}.run\n" in page
    for weights, batches in re.findall(r"--weights (\S+) --iterations (\d+)", page):
        assert (f"{prefix}_iter_{last}.caffemodel", solver.test_iter[0]) == (weights, int(batches))
    assert 0 == last % solver.snapshot
    assert 0 == main(["fmt", "--check", *map(str, folder.glob("*.prototxt"))])


def test_every_template_is_offered():
    """The folders of templates are the kinds, and the help names each with what it is for."""
    assert KINDS == sorted(path.name for path in new.TEMPLATES.iterdir() if path.is_dir())
    assert KINDS == sorted(re.findall(r"^  (\w+)  +\w", new.__doc__, re.MULTILINE))
    for path in new.TEMPLATES.rglob("*.*"):
        assert path.name in new.PURPOSE


def test_frozen_layers_keep_the_weights_they_come_with():
    """In the template for fine-tuning, the layers before ip1 do not learn, and only the last has a name of its own."""
    folder = new.TEMPLATES / "finetune"
    net, before = (prototxt.read(str(folder / f"{name}.prototxt"), NetParameter()) for name in ("net", "pretrained"))
    rates = {layer.name: [param.lr_mult for param in layer.param] for layer in net.layer if layer.param}

    assert {"conv1": [0, 0], "conv2": [0, 0], "ip1": [1, 2], "ip2_new": [10, 20]} == rates
    assert {"ip2_new"} == set(rates) - {layer.name for layer in before.layer}


def test_an_empty_folder_is_filled(tmp_path, monkeypatch, capsys):
    """The current folder will do where it is empty, and stays the same folder; then nobody is told to go there."""
    needs("h5py")
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino
    assert 0 == main(["new", "mlp", "."])

    assert before == tmp_path.stat().st_ino
    assert {"README.md", "net.prototxt", "solver.prototxt", "train.h5", "train.txt", "test.h5", "test.txt"} == \
        {path.name for path in tmp_path.iterdir()}
    assert "cd " not in capsys.readouterr().out


@pytest.mark.parametrize(("existing", "said"), [("mine/notes.txt", "mine is not empty"), ("mine", "mine is a file")])
def test_nothing_is_overwritten(existing, said, tmp_path, monkeypatch, capsys):
    """Where the folder holds anything, or is none, the command is refused and the files stay."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / existing
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")

    assert 1 == main(["new", "mlp", "mine"])
    assert said in capsys.readouterr().err
    assert "mine" == path.read_text()
    assert [path] == [found for found in tmp_path.rglob("*") if found.is_file()]


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_stop_in_the_middle_leaves_nothing(exists, error, tmp_path, monkeypatch, capsys):
    """Ctrl-C and a full disk, while data is written, leave no part of the folder."""

    def stop(folder: Path) -> dict[str, str]:
        (folder / "half.h5").write_text("")
        raise error

    monkeypatch.setitem(new_data.MAKERS, "mlp", stop)
    monkeypatch.chdir(tmp_path)
    if exists:
        (tmp_path / "mine").mkdir()

    assert main(["new", "mlp", "mine"]) in (1, 130)
    assert [tmp_path / "mine"] * exists == list(tmp_path.rglob("*"))
    assert re.match("minicaffe: (stopped|error: No space left)", capsys.readouterr().err)


@pytest.mark.parametrize(("kind", "hint"), [("lente", "did you mean 'lenet'?"), ("xyz", "there are lenet, cifar, mlp")])
def test_a_typo_is_recognised(kind, hint, tmp_path, capsys):
    """A kind that is not there is refused with the one that was meant, or with all that there are."""
    assert 1 == main(["new", kind, str(tmp_path / "mine")])
    assert hint in capsys.readouterr().err
    assert [] == list(tmp_path.iterdir())
