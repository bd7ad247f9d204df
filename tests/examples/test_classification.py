"""The classification example: the script, run as the README says, finds the shuttle."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from extras import needs

FOLDER = Path(__file__).parents[2] / "examples" / "classification"


def answers(text):
    """The probabilities in percent by name, of each photograph or part of one in a text."""
    parts = re.split(r"^astronaut\.jpg, .*\n", text, flags=re.MULTILINE)[1:]
    return [{name: float(percent) for percent, name in re.findall(r"^ +([\d.]+) %  (.+)$", part, re.MULTILINE)}
            for part in parts]


def run(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "minicaffe.pycaffe", "classify.py", *arguments], cwd=FOLDER,
                          capture_output=True, text=True, **options)


@pytest.mark.slow
def test_the_script_prints_what_the_readme_shows():
    """The script prints the README's classes, and their probabilities but for what another JPEG decoder changes."""
    needs("cv2")
    done = run()
    assert 0 == done.returncode, done.stderr
    block = (FOLDER / "README.md").read_text(encoding="utf-8").split("pycaffe classify.py\n")[1].split("```")[0]
    whole, shuttle = answers(done.stdout)

    assert list(whole)[:2] == ["toaster", "Crock Pot"]
    assert next(iter(shuttle)) == "space shuttle"
    assert [5, 5] == [len(whole), len(shuttle)]
    for printed, shown in zip((whole, shuttle), answers(block), strict=True):
        for name in printed.keys() & shown.keys():
            assert pytest.approx(shown[name], abs=0.5) == printed[name]
    assert len(whole.keys() & answers(block)[0].keys()) >= 4


@pytest.mark.slow
def test_a_part_of_a_photograph():
    """Four numbers choose a part, and the shuttle is found in another one that holds it."""
    needs("cv2")
    (part,) = answers(run("astronaut.jpg", "0", "260", "400", "250").stdout)

    assert next(iter(part)) == "space shuttle"


@pytest.mark.slow
def test_an_array_needs_no_opencv(tmp_path):
    """A photograph that was saved as an array is looked at where only numpy is installed."""
    np.save(tmp_path / "grey.npy", np.full((270, 260, 3), 0.5, np.float32))
    (tmp_path / "cv2.py").write_text("raise ImportError('not installed')")
    done = run(str(tmp_path / "grey.npy"), env={**os.environ, "PYTHONPATH": str(tmp_path)})

    assert 0 == done.returncode, done.stderr
    assert done.stdout.startswith("grey.npy, 270 x 260 pixels from row 0 and column 0\n")
    assert 6 == len(done.stdout.splitlines())


def test_the_classes_have_names():
    """There is a name for each of the net's 1000 classes, and none twice."""
    names = (FOLDER / "squeezenet" / "labels.txt").read_text(encoding="utf-8").splitlines()

    assert [1000, 1000] == [len(names), len(set(names))]
    assert {"tench": 0, "Egyptian cat": 285, "space shuttle": 812, "toilet tissue": 999} == \
        {name: names.index(name) for name in ("tench", "Egyptian cat", "space shuttle", "toilet tissue")}
