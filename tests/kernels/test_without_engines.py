"""The folder of any engine may be deleted, and what is left trains, measures and forecasts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from extras import needs
from net_tools import TRAINABLE

PACKAGE = Path(__file__).parent.parent.parent / "minicaffe"
SOLVER = 'net: "net.prototxt" base_lr: 0.1 momentum: 0.9 lr_policy: "fixed" max_iter: 3 snapshot_prefix: "small"\n'
COMMANDS = ["engines", "train --solver solver.prototxt", "time --model net.prototxt --iterations 1",
            "summary net.prototxt", "warm net.prototxt"]


@pytest.mark.slow  # a copy compiles everything anew, or starts many commands
@pytest.mark.parametrize(("removed", "left"), [
    pytest.param(["numba_engine"], "numpy", id="numba"),
    pytest.param(["numpy_engine"], "numba", id="numpy"),
    pytest.param(["numpy_engine", "numba_engine"], "plain", id="both")])
def test_a_copy_without_the_folder_works(removed, left, tmp_path):
    """With numba installed, the fastest engine that is left is used, and every command that asks for engines works."""
    needs("numba")
    shutil.copytree(PACKAGE, tmp_path / "minicaffe", ignore=shutil.ignore_patterns("__pycache__"))
    for engine in removed:
        shutil.rmtree(tmp_path / "minicaffe" / "kernels" / engine)
    (tmp_path / "net.prototxt").write_text(TRAINABLE)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    program = "import sys; from minicaffe.cli.__main__ import main\n" \
              f"sys.exit(max(main(command.split()) for command in {COMMANDS}))"
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True,
                         env={**os.environ, "PYTHONPATH": str(tmp_path), "MINICAFFE_ENGINE": ""}, timeout=300)
    engines = dict(line.split(maxsplit=1) for line in run.stdout.splitlines()[1:4])

    assert run.returncode == 0, run.stdout + run.stderr
    assert engines[left].endswith("  in use")
    for engine in removed:
        assert f"not part of this installation: there is no minicaffe.kernels.{engine}" in \
            engines[engine.removesuffix("_engine")]
    assert (tmp_path / "small_iter_3.caffemodel").is_file()
    assert str(PACKAGE) not in run.stdout + run.stderr
