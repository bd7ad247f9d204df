"""What `--no-skips`, which .ci/run gives, makes of skipped tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest
from extras import needs

def test_of_a_package():
    needs("tensorboard" if {missing} else "numpy")

def test_of_a_machine():
    pytest.skip("this machine has no tape drive")
"""


@pytest.fixture
def run(tmp_path):
    """Run the two tests with these options, as the project's own are run."""
    def pytest_with(*options, missing):
        (tmp_path / "test_two.py").write_text(TESTS.format(missing=missing))
        (tmp_path / "tensorboard.py").write_text("raise ModuleNotFoundError(name='tensorboard')")
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path), "-p", "conftest",
             "-p", "no:cacheprovider", *options, str(tmp_path)], capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parent)]),
                 "PYTEST_ADDOPTS": ""})
    return pytest_with


@pytest.mark.slow
def test_a_package_that_is_missing_fails_the_run(run):
    """A run in which a test was skipped for want of a package fails, and names the test and the package."""
    done = run("--no-skips", missing=True)

    assert 1 == done.returncode, done.stdout + done.stderr
    assert "test_two.py::test_of_a_package: needs the package 'tensorboard'" in done.stdout
    assert "test_of_a_machine" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("options", "missing"), [((), True), (("--no-skips",), False)])
def test_other_skips_are_allowed(run, options, missing):
    """Without the option any test may be skipped; with it those that no installation helps."""
    done = run(*options, missing=missing)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "although --no-skips" not in done.stdout
