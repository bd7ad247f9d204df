"""A training that is killed while it writes snapshots loses nothing that was whole before."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from extras import needs

KILLS = 50


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the program forks")
def test_whenever_a_training_is_killed_it_resumes_to_the_same_bits(tmp_path):
    """this test shows that after a SIGKILL at any moment --resume auto ends in the files of a run never killed."""
    needs("lmdb")
    run = subprocess.run([sys.executable, str(Path(__file__).parent / "killing.py"), str(tmp_path), str(KILLS), "1701"],
                         env={**os.environ, "MINICAFFE_ENGINE": "numpy", "OPENBLAS_NUM_THREADS": "1"},
                         capture_output=True, text=True)

    assert 0 == run.returncode, run.stderr
    kills = json.loads(run.stdout)
    assert KILLS == len(kills)
    assert [] == [kill for kill in kills if not kill["same"] or kill["stray"]]
    assert [] == [kill for kill in kills if len(kill["resumed"]) != (kill["states"] > 0)]
    assert KILLS / 2 < sum(kill["killed"] and kill["states"] > 0 for kill in kills)
    assert 0 < sum(kill["cut"] for kill in kills)  # some died within a file
