"""Trainings that are killed while they write snapshots lose nothing that was whole before, and mix nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from extras import needs

KILLS, ROUNDS = 50, 3
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the program forks")
pytestmark = pytest.mark.slow


def campaign(folder, *arguments):
    """What killing.py tells."""
    needs("lmdb")
    run = subprocess.run([sys.executable, str(Path(__file__).parent / "killing.py"), str(folder), *arguments],
                         env={**os.environ, "MINICAFFE_ENGINE": "numpy", "OPENBLAS_NUM_THREADS": "1"},
                         capture_output=True, text=True)
    assert 0 == run.returncode, run.stderr
    return json.loads(run.stdout)


@forks
def test_whenever_a_training_is_killed_it_resumes_to_the_same_bits(tmp_path):
    """After a SIGKILL at any moment --resume auto ends in the files of a run never killed."""
    kills = campaign(tmp_path, str(KILLS), "1701")
    assert KILLS == len(kills)
    assert [] == [kill for kill in kills if not kill["same"] or kill["stray"]]
    assert [] == [kill for kill in kills if len(kill["resumed"]) != (kill["states"] > 0)]
    assert KILLS / 2 < sum(kill["killed"] and kill["states"] > 0 for kill in kills)
    assert 0 < sum(kill["cut"] for kill in kills)  # some died within a file


@forks
def test_two_trainings_in_one_folder_and_their_requeues(tmp_path):
    """Each goes on from its own newest snapshot when the one before it is dead, and ends in the same bits."""
    told = campaign(tmp_path, str(ROUNDS), "1701", "pairs")

    assert 2 * ROUNDS == len(told)
    assert [] == [one for one in told if not one["same"] or one["stray"] or one["lost"]]
    assert ROUNDS < sum(one["kills"] for one in told)
    assert ROUNDS < sum(one["waited"] for one in told)
    assert 0 < sum(one["refused"] for one in told)


@forks
def test_a_database_that_is_changed_while_it_is_trained_on(tmp_path):
    """The training ends in one error that names the file, or goes on with the old one; no snapshot is of another.
    Put right again, the database gives a resumed training the same bits, kills in between or not."""
    told = campaign(tmp_path, str(ROUNDS), "1701", "database")
    turns = [turn for one in told for turn in one["turns"]]

    assert 3 * ROUNDS == len(turns)
    assert [] == [one for one in told if one["status"] or one["mixed"] or one["stray"] or not one["snapshots"]]
    assert [] == [turn for turn in turns if not turn["clear"] or turn["log"]]
    assert 0 < sum(turn["killed"] for turn in turns)
    assert 0 < sum("this file is being written" in turn["error"] for turn in turns)
