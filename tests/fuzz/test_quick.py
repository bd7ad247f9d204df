"""Damaged files of each kind are read in a process of their own, so that a crash does not end the test run."""

import subprocess
import sys
from pathlib import Path

import pytest
from extras import needs

HARNESS = Path(__file__).with_name("harness.py")
GROUPS = [("caffemodel", "caffemodel-v1", "caffemodel-whole", "solverstate", "resume", "binaryproto", "idx", "npz",
           "safetensors"), ("h5-weights", "h5-state", "h5-data"), ("prototxt", "yaml"), ("lmdb",),
          ("caffemodel-fork", "prototxt-fork")]
NEEDS = {"h5-weights": "h5py", "lmdb": "lmdb"}


@pytest.mark.parametrize("cases", [250, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kinds", GROUPS, ids=lambda kinds: kinds[0])
def test_damaged_files_end_in_an_error_or_a_load(kinds, cases):
    """No damaged file makes a crash or an endless loop, or takes more memory than twice its size."""
    if kinds[0] in NEEDS:
        needs(NEEDS[kinds[0]])
    done = subprocess.run([sys.executable, str(HARNESS), *kinds, "--cases", str(cases)],
                          capture_output=True, text=True, check=False)
    last = done.stderr.rsplit("\r", 1)[-1]

    assert 0 == done.returncode, f"{done.stdout}\npython {HARNESS} {last}"
    assert len(kinds) == done.stdout.count("'error'") == done.stdout.count("'load'")
