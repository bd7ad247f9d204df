"""The logistic regression example: the solver reaches the optimum that Newton's method finds."""

import runpy
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "logistic_regression"


@pytest.fixture(scope="module")
def example():
    """The names of run.py, which trains once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(FOLDER)
        patch.syspath_prepend(str(FOLDER))
        patch.delitem(sys.modules, "iris", raising=False)
        names = runpy.run_path(str(FOLDER / "run.py"))
        names["train"] = names["main"].__globals__["train"] = cache(names["train"])
        yield names


def test_the_solver_reaches_the_optimum(example):
    """SGD on the net finds the coefficients and the loss that Newton's method finds."""
    cm, t = example["read_table"]()
    features = (cm - cm.mean(axis=0)) / cm.std(axis=0)
    best, best_loss = example["newton"](features, t)
    found, loss = example["train"]()

    np.testing.assert_allclose(best, found, rtol=5e-5)
    assert pytest.approx(best_loss, rel=1e-6) == loss


def test_the_table_is_fishers(example):
    """The optimum on iris.csv is the one published for it (R's glm, to five digits)."""
    cm, t = example["read_table"]()
    mean, std = cm.mean(axis=0), cm.std(axis=0)
    best, loss = example["newton"]((cm - mean) / std, t)

    assert (100, 4) == cm.shape
    np.testing.assert_allclose([-2.465, -6.681, 9.429, 18.286, -42.638],
                               example["per_centimetre"](best, mean, std), atol=5e-4)
    assert pytest.approx(11.899, abs=5e-4) == 2 * 100 * loss  # the residual deviance


def test_what_the_readme_shows(example, capsys):
    """The README shows what the example prints, but for digits that float32 decides."""
    example["main"]()
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    readme = (FOLDER / "README.md").read_text()
    table = readme.split("prints\n")[1].split("\nThe column")[0]
    shown = [line.split() for line in table.splitlines() if line]

    assert [line[0] for line in printed] == [line[0] for line in shown]
    for seen, said in zip(printed[1:-1], shown[1:-1], strict=True):
        np.testing.assert_allclose([float(n) for n in seen[1:3]], [float(n) for n in said[1:3]], rtol=5e-5)
    assert printed[-1] == shown[-1]
