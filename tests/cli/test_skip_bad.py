"""--skip-bad of `minicaffe train` and `minicaffe test`: what cannot be read is left out and listed."""

from types import SimpleNamespace

import numpy as np
import pytest
from extras import needs

from minicaffe.cli import skip_bad
from minicaffe.cli.__main__ import main
from minicaffe.io import image
from minicaffe.solvers.group import Group

needs("cv2")
NET = """
layer { name: "data" type: "ImageData" top: "x" top: "label"
        image_data_param { source: "list.txt" batch_size: 2 new_height: 3 new_width: 4 } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
        inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.001 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" }
"""
SOLVER = 'net: "net.prototxt" base_lr: 1e-6 lr_policy: "fixed" max_iter: 4 snapshot_prefix: "s" test_iter: 1 ' \
         'test_interval: 4'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A net and a solver with five images: the third is empty and the fifth is not there."""
    monkeypatch.chdir(tmp_path)
    for i, x in enumerate(np.random.default_rng(2).integers(0, 256, (4, 3, 6, 5), dtype=np.uint8)):
        (tmp_path / f"{i}.png").write_bytes(b"" if i == 2 else image.encode(x))
    (tmp_path / "list.txt").write_text("".join(f"{i}.png {i % 2}\n" for i in range(5)))
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    return tmp_path


def test_train_and_test(folder, capfd):
    """Without the flag the first bad image is an error; with it, both commands list what they left out at the end."""
    train = ["train", "--solver", "solver.prototxt"]
    assert main(train) == 1
    assert "list.txt:5: layer 'data' (ImageData): there is no file 4.png" in capfd.readouterr().err

    assert main([*train, "--skip-bad"]) == 0
    said = capfd.readouterr().err
    begin = said.index("layer 'data' (ImageData) in TRAIN left out what cannot be read, 2 of 5 samples:")
    end = said[begin:].splitlines()
    assert end[1:3] == ["list.txt:3: 2.png is empty",
                        f"list.txt:5: there is no file 4.png, which the list list.txt names (looked for in {folder})"]
    assert "layer 'data' (ImageData) in TEST left out what cannot be read, 2 of 5 samples:" in end[3]

    command = ["test", "--model", "net.prototxt", "--weights", "s_iter_4.caffemodel", "--iterations", "3"]
    assert main([*command, "--skip-bad"]) == 0
    assert "left out what cannot be read, 2 of 5 samples:" in capfd.readouterr().err


@pytest.mark.parametrize("rank", [0, 1])
def test_what_several_processes_leave_out(monkeypatch, caplog, rank):
    """Rank 0 lists the samples of all, and a sample that two of them have met once."""
    found = [["0 is bad", "3 is bad"], ["3 is bad", "5 is bad"]]

    class Two(Group):
        def gather(self, mine):
            assert mine == found[self.rank]
            return found

    two = Two()
    two.rank, two.size = rank, 2
    layer = SimpleNamespace(name="data", type="ImageData", left_out=found[rank], epoch_size=7)
    monkeypatch.setattr(skip_bad, "source_of", lambda found: found)

    skip_bad.report_left_out([SimpleNamespace(layers=[layer], phase=0)], two)

    said = ["layer 'data' (ImageData) in TRAIN left out what cannot be read, 3 of 7 samples:",
            "0 is bad", "3 is bad", "5 is bad"]
    assert ([] if rank else said) == [line for message in caplog.messages for line in message.splitlines()]
