"""The settings of the process: the device, the seed, the solvers that train together, the clock, the list of types."""

import numpy as np
import pytest

from minicaffe import pycaffe as caffe
from minicaffe import rng
from minicaffe.errors import MinicaffeError
from minicaffe.pycaffe import _caffe, global_settings, timer


@pytest.fixture(autouse=True)
def as_at_first(monkeypatch):
    """Each test begins with the settings of a new process."""
    for name, value in (("noticed_gpu", False), ("noticed_solvers", False), ("solver_count", 1), ("solver_rank", 0),
                        ("multiprocess", False)):
        monkeypatch.setattr(global_settings._Settings, name, value)


@pytest.mark.parametrize("first", ["mode", "device"])
def test_one_notice_that_there_is_no_gpu(first, caplog):
    """Whatever a script calls, and however often, one notice is written."""
    caffe.set_mode_cpu()
    assert [] == caplog.records
    calls = [caffe.set_mode_gpu, lambda: caffe.set_device(2)]
    for call in (calls if first == "mode" else calls[::-1]) * 2:
        call()

    named = {"mode": "set_mode_gpu()", "device": "set_device(2)"}[first]
    assert [f"{named} asks for a GPU, but minicaffe computes everything on the CPU"] \
        == [record.message for record in caplog.records]


def test_set_random_seed():
    """It is minicaffe's own seed."""
    caffe.set_random_seed(np.int64(12))
    drawn = rng.generator().normal()
    rng.seed(12)

    assert drawn == rng.generator().normal()


def test_the_solvers_seed_wins(tmp_path):
    """A random_seed in the file gives the same weights after any seed of the script's; without it they differ."""
    (tmp_path / "n.prototxt").write_text("""
      layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
      layer { name: "y" type: "InnerProduct" bottom: "x" top: "y"
              inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }""")

    def weights(seed, fields):
        (tmp_path / "s.prototxt").write_text(f'net: "{tmp_path}/n.prototxt" base_lr: 1 lr_policy: "fixed" {fields}')
        caffe.set_random_seed(seed)
        return caffe.SGDSolver(str(tmp_path / "s.prototxt")).net.params["y"][0].data.copy()

    np.testing.assert_array_equal(weights(1, "random_seed: 9"), weights(2, "random_seed: 9"))
    np.testing.assert_array_equal(weights(1, ""), weights(1, ""))
    assert (weights(1, "") != weights(2, "")).any()


def test_solvers_that_train_together(caplog):
    """The numbers are kept, and one warning says that each solver trains alone."""
    assert (1, 0) == (caffe.solver_count(), caffe.solver_rank())
    caffe.set_solver_count(1)
    caffe.set_solver_rank(0)
    caffe.set_multiprocess(True)
    assert [] == caplog.records
    caffe.set_solver_count(3)
    caffe.set_solver_rank(2)

    assert (3, 2) == (caffe.solver_count(), caffe.solver_rank())
    assert 1 == len(caplog.records)
    assert "set_solver_count(3) asks for several solvers, but in minicaffe each trains alone" \
        in caplog.records[0].message


@pytest.mark.parametrize(("call", "value", "least"), [("set_random_seed", -1, 0), ("set_solver_count", 0, 1),
                                                      ("set_solver_rank", -2, 0)])
def test_numbers_that_make_no_sense(call, value, least):
    """They are refused with the least number that serves."""
    with pytest.raises(MinicaffeError, match=f"{call} takes a .*number from {least} on, got {value}"):
        getattr(caffe, call)(value)
    with pytest.raises(TypeError):
        getattr(caffe, call)("1")


def test_layer_type_list():
    """All types, in pycaffe's type for lists of names."""
    types = caffe.layer_type_list()

    assert {"Data", "Convolution", "InnerProduct", "Python"} <= set(types)
    assert type(types) is _caffe.StringVec
    assert sorted(types) == list(types)


class TestTimer:
    """The clock is replaced, so that the numbers are known."""

    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch):
        """Each look at the clock is 1, 2, 4, 8 ... seconds after its start."""
        looks = iter(2**i for i in range(20))
        monkeypatch.setattr(timer.time, "perf_counter", lambda: next(looks))

    def test_from_start_to_stop(self):
        """In milliseconds; each start begins anew."""
        one = caffe.Timer()
        one.start()
        one.stop()
        assert [1000, 1000] == [one.ms, one.ms]
        one.start()
        one.stop()

        assert one.ms == 4000

    def test_reading_stops(self):
        """A second start or stop changes nothing."""
        one = caffe.Timer()
        one.start()
        one.start()
        assert one.ms == 1000
        one.stop()

        assert one.ms == 1000

    def test_one_that_never_ran(self, caplog):
        """It gives 0 and says so."""
        assert caffe.Timer().ms == 0
        assert ["the timer is read before it has run, so it gives 0"] == [record.message for record in caplog.records]
