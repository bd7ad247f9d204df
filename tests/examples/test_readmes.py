"""Each example's README, followed as a newcomer does: every command of the page in its order, in its folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from extras import needs

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(page.parent.name for page in (ROOT / "examples").glob("*/README.md"))
SHORTER = {  # LeNet's 10,000 updates take minutes: 20 leave the same files
    "lenet_solver.prototxt": (("max_iter: 10000", "max_iter: 20"), ("snapshot: 5000", "snapshot: 10"),
                              ("test_iter: 100", "test_iter: 1")),
    "README.md": (("iter_10000", "iter_20"), ("iter_5000", "iter_10"), ("--iterations 100", "--iterations 1"))}


def commands(page):
    """The lines of a README's code blocks that are commands."""
    return re.findall(r"^(?: {4}|\$ )?((?:python|minicaffe) [^#\n]+)", page, re.MULTILINE)


@pytest.fixture
def checkout(tmp_path):
    """A repository of its own that holds the examples, with the programs that a README names on the PATH."""
    root = tmp_path / "checkout"
    tracked = shutil.ignore_patterns("run", "full", "*_lmdb", "*.run", "*_iter_*.caffemodel", "*.solverstate",
                                     "*.resume", "*.png", "__pycache__")
    shutil.copytree(ROOT / "examples", root / "examples", ignore=tracked)
    shutil.copyfile(ROOT / ".gitignore", root / ".gitignore")
    for path in root.rglob("*"):
        for old, new in SHORTER.get(path.name, ()):
            path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    for line in ("init -q", "add .", "-c user.name=x -c user.email=x@example.org commit -qm x"):
        subprocess.run(["git", *line.split()], cwd=root, check=True)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, arguments in (("python", ""), ("minicaffe", " -m minicaffe.cli")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
        (programs / name).chmod(0o755)
    return root, {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the programs are scripts of a POSIX shell")
@pytest.mark.skipif(not shutil.which("git"), reason="needs the program git")
@pytest.mark.parametrize("example", EXAMPLES)
def test_a_readme_can_be_followed(example, checkout):
    """Every command ends well, and git sees nothing of what they leave."""
    for package in ("lmdb", "matplotlib", "onnx", "onnxruntime"):
        needs(package)
    root, environment = checkout
    folder = root / "examples" / example
    for command in commands((folder / "README.md").read_text(encoding="utf-8")):
        run = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
        assert 0 == run.returncode, f"{command}\n{run.stdout[-2000:]}{run.stderr[-2000:]}"

    seen = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True)
    assert "" == seen.stdout


def test_commands_are_found():
    """No README is followed in vain."""
    for example in EXAMPLES:
        assert len(commands((ROOT / "examples" / example / "README.md").read_text(encoding="utf-8"))) >= 2


@pytest.mark.slow  # test_logistic_regression.py trains it for every change, from Python
def test_a_regression_trains_from_the_command_line(tmp_path):
    """The logistic regression's files train by themselves: the loss goes from that of a coin to the optimum."""
    for path in (ROOT / "examples" / "logistic_regression").glob("*.*"):
        if path.is_file():
            shutil.copyfile(path, tmp_path / path.name)
    run = subprocess.run([sys.executable, "-m", "minicaffe.cli", "train", "--solver", "solver.prototxt"],
                         cwd=tmp_path, capture_output=True, text=True)

    assert 0 == run.returncode, run.stderr
    assert re.search(r"Iteration 0 .*loss = 0\.693147", run.stderr)
    assert re.search(r"Iteration 3000, loss = 0\.05949", run.stderr)
