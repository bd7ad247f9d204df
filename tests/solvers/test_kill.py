"""A training that is killed while it writes snapshots loses nothing that was whole before."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from nets import feed, make

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from nets import feed, make
solver = feed(make(f'type: "Adam" momentum: 0.9 snapshot: 1 snapshot_prefix: "{sys.argv[2]}/s" max_iter: 1000000'))
print("ready", flush=True)
solver.step(1000000)
"""


def test_every_state_that_a_kill_leaves_can_be_resumed(tmp_path):
    """this test shows that whatever the moment of a SIGKILL, each state on the disk has its weights, both whole."""
    moments = random.Random(1701)
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        run = subprocess.Popen([sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(folder)],
                               stdout=subprocess.PIPE, text=True)
        try:
            assert "ready\n" == run.stdout.readline()
            while not list(folder.glob("*.solverstate")):
                assert run.poll() is None
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.03))
        finally:
            run.send_signal(signal.SIGKILL)
            run.wait()
            run.stdout.close()

        states = sorted(folder.glob("*.solverstate"), key=lambda path: int(path.stem.split("_")[-1]))
        for state in states[-3:]:
            solver = feed(make('type: "Adam" momentum: 0.9'))
            solver.restore(str(state))

            assert f"s_iter_{solver.iter}" == state.stem
