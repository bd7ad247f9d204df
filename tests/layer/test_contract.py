"""The Layer base itself: old names of attributes, and what a subclass inherits."""

import numpy as np
import pytest

from minicaffe.blob import Blob
from minicaffe.layer import Elementwise, Layer
from minicaffe.pycaffe import Net as PycaffeNet
from minicaffe.solvers import get_solver


def test_a_class_may_declare_replays():
    """`replays` was the name of `recordable`: a class that declares it is recordable, and the new name is said."""
    with pytest.warns(DeprecationWarning, match="Old: the attribute replays is now called recordable"):
        class Old(Layer):
            replays = True

    assert Old.recordable is True
    assert Old().recordable is True


def test_an_elementwise_class_may_declare_replays():
    """The same for a subclass of another base, whose `reshape` sets the attribute on the layer."""
    with pytest.warns(DeprecationWarning, match="recordable"):
        class Double(Elementwise):
            replays = True

            def value(self, x, y):
                np.multiply(x, 2, out=y)

    layer, bottom, top = Double(), [Blob((2, 3))], [Blob()]
    layer.SetUp(bottom, top)

    assert layer.recordable


@pytest.mark.parametrize(("old", "new"), [("replays", "recordable"), ("plans_scratch", "awaits_scratch"),
                                          ("weights_follow", "awaits_weights")])
def test_an_old_name_on_a_layer(old, new):
    """An old name is read and set as the new one, with a warning at the line that does so."""
    layer = Layer()
    with pytest.warns(DeprecationWarning, match=new) as caught:
        setattr(layer, old, True)

    assert caught[0].filename == __file__
    assert getattr(layer, new) is True
    with pytest.warns(DeprecationWarning, match=new):
        assert getattr(layer, old) is True


def test_replays_of_a_class():
    """The old name can be read from a class too."""
    with pytest.warns(DeprecationWarning, match="recordable"):
        assert Layer.replays is False


@pytest.mark.parametrize("name", ["recordable", "can_dry_run"])
def test_what_a_subclass_must_say_itself(name):
    """A subclass may do more than its base, so it does not inherit that the base is nothing but kernel calls."""
    base = type("Base", (Layer,), {name: True})
    subclass = type("Subclass", (base,), {})

    assert getattr(base, name) is True
    assert getattr(subclass, name) is False


def test_a_solver_needs_no_forward_of_its_own_signature(tmp_path):
    """A net class may give `forward` and `backward` another meaning, as pycaffe's does; a Solver trains it the same."""
    class Odd(PycaffeNet):
        def forward(self, *args, **options):
            raise AssertionError("the solver must not call this")

        backward = forward

    net = tmp_path / "net.prototxt"
    net.write_text("""
        layer { name: "x" type: "DummyData" top: "x" top: "t" dummy_data_param { shape { dim: 4 dim: 3 }
                shape { dim: 4 dim: 2 } data_filler { type: "gaussian" } } }
        layer { name: "y" type: "InnerProduct" bottom: "x" top: "y"
                inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
        layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }""")
    solver_file = tmp_path / "solver.prototxt"
    solver_file.write_text(f'net: "{net}" base_lr: 0.1 lr_policy: "fixed" max_iter: 2 random_seed: 1')
    solver = get_solver(str(solver_file), net_class=Odd)
    before = solver.net.params["y"][0].data.copy()

    solver.step(2)

    assert solver.iter == 2
    assert (solver.net.params["y"][0].data != before).all()
