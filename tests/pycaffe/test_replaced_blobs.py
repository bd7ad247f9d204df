"""A script puts other blobs into a layer's list: passes, copies of weights and updates use the new ones."""

import copy
import pickle

import numpy as np
import pytest
from extras import needs

from minicaffe import kernels
from minicaffe import pycaffe as caffe
from minicaffe.blob import Blob, BlobVec
from minicaffe.errors import LayerError, SolverError
from minicaffe.proto import NetParameter, SolverParameter
from minicaffe.proto import text as proto_text

FILLERS = 'weight_filler { type: "gaussian" std: 0.5 } bias_filler { type: "gaussian" std: 0.5 }'
NET = f"""
  layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: 3 dim: 9 dim: 7 }} }} }}
  layer {{ name: "conv" type: "Convolution" bottom: "x" top: "conv"
           convolution_param {{ num_output: 6 kernel_size: 3 {FILLERS} }} }}
  layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
  layer {{ name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param {{ filler {{ type: "gaussian" }} }} }}
  layer {{ name: "ip" type: "InnerProduct" bottom: "conv" top: "ip" inner_product_param {{ num_output: 4 {FILLERS} }} }}
  layer {{ name: "prob" type: "Softmax" bottom: "ip" top: "prob" }}
"""
SOLVER = """base_lr: 0.5 momentum: 0.5 lr_policy: "fixed" max_iter: 9 random_seed: 3
  net_param { force_backward: true
    layer { name: "x" type: "DummyData" top: "x" top: "t" dummy_data_param {
            shape { dim: 5 dim: 3 } shape { dim: 5 dim: 2 } data_filler { type: "gaussian" } } }
    layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" lr_mult: 2 } param { lr_mult: 0.5 }
            inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
    layer { name: "b" type: "InnerProduct" bottom: "x" top: "b" param { name: "w" }
            inner_product_param { num_output: 2 bias_term: false } }
    layer { name: "loss" type: "EuclideanLoss" bottom: "a" bottom: "t" top: "loss" }
    layer { name: "loss2" type: "EuclideanLoss" bottom: "b" bottom: "t" top: "loss2" } }"""


@pytest.fixture(params=["plain", "numpy", "numba"])
def engine(request):
    if request.param == "numba":
        needs("numba")
    before = kernels.engine()
    kernels.use_engine(request.param)
    yield
    kernels.use_engine(before)


def make():
    return caffe.Net(proto_text.parse(NET, NetParameter()), caffe.TEST)


def train_net():
    return proto_text.parse(SOLVER, SolverParameter()).net_param


def solver(tmp_path):
    path = tmp_path / "solver.prototxt"
    path.write_text(SOLVER)
    return caffe.get_solver(str(path))


def random_blob(shape, seed=1):
    blob = Blob(shape)
    blob.data[...] = np.random.default_rng(seed).standard_normal(shape)
    return blob


def put(net, k, blob):
    net.layers[1].blobs[k] = blob


def put_by_name(net, k, blob):
    net.params["conv"][k] = blob


def put_slice(net, k, blob):
    net.params["conv"][k:k + 1] = [blob]


def take_out_and_insert(net, k, blob):
    del net.params["conv"][k]
    net.params["conv"].insert(k, blob)


def pop_and_append(net, k, blob):
    blobs = net.layer_dict["conv"].blobs
    rest = [blobs.pop() for _ in range(len(blobs) - k)]
    blobs.append(blob)
    blobs += rest[:-1]


def clear_and_add(net, k, blob):
    blobs = net.params["conv"]
    kept = list(blobs)
    blobs.clear()
    for i, old in enumerate(kept):
        blobs.add_blob(*old.shape)
        blobs[i].data[...] = blob.data if i == k else old.data


def test_the_list_itself_stays():
    """A layer's list is not assigned, for the net's `params` and a solver would keep the old one."""
    net = make()
    before = net.params["conv"]

    with pytest.raises(AttributeError, match=r"blobs\[k\] = blob replaces"):
        net.layers[1].blobs = [random_blob((6, 3, 3, 3)), random_blob((6,))]

    assert net.layers[1].blobs is net.params["conv"] is before


@pytest.mark.parametrize("k", [0, 1])
@pytest.mark.parametrize("way", [put, put_by_name, put_slice, take_out_and_insert, pop_and_append, clear_and_add])
def test_the_next_pass_uses_the_new_blob(engine, way, k):
    """Also where a recorded pass holds the address of the old one, which still exists."""
    net, fresh = make(), make()
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 7))
    new = random_blob(net.params["conv"][k].shape)  # made before the passes, because a new blob is a change, too
    for _ in range(4):
        before = net.forward(x=x)["prob"].copy()
    old = net.params["conv"][k]
    way(net, k, new)
    after = [net.forward(x=x)["prob"].copy() for _ in range(4)]
    for name, blobs in net.params.items():
        for mine, theirs in zip(fresh.params[name], blobs, strict=True):
            mine.data[...] = theirs.data

    np.testing.assert_array_equal(fresh.params["conv"][k].data, new.data)
    for outputs in after:
        np.testing.assert_allclose(outputs, fresh.forward(x=x)["prob"], rtol=1e-5, atol=1e-7)
    assert np.abs(after[0] - before).max() > 1e-3
    assert old is not net.params["conv"][k]


def test_weights_are_copied_into_the_new_blob(tmp_path):
    """And saved from it."""
    net, other = make(), make()
    for name in ("conv", "ip"):
        net.params[name][0] = random_blob(net.params[name][0].shape)
    net.save(tmp_path / "a.caffemodel")
    other.copy_from(tmp_path / "a.caffemodel")
    other.params["ip"][1] = random_blob((4,), 2)
    net.copy_from(other.to_proto())

    for name in net.params:
        for mine, theirs in zip(net.params[name], other.params[name], strict=True):
            np.testing.assert_array_equal(mine.data, theirs.data)


def test_a_layers_blobs_are_one_class():
    """Scripts ask for it, and skip what is of another class."""
    net = make()

    assert {type(blobs) for blobs in net.params.values()} == {BlobVec} == {type(layer.blobs) for layer in net.layers}
    assert net.params["conv"] is net.layers[1].blobs
    assert caffe._caffe.BlobVec is BlobVec


class TestTraining:
    """A solver's net, of which a layer gets another blob."""

    def test_the_new_blob_is_trained(self, tmp_path):
        """With the multipliers and the momentum of the one whose place it takes."""
        changed, plain = solver(tmp_path), solver(tmp_path)
        for one in (changed, plain):
            one.step(2)
        old = changed.net.params["a"][1]
        new = copy.deepcopy(old)
        changed.net.layer_dict["a"].blobs[1] = new
        was = old.data.copy()
        for one in (changed, plain):
            one.step(2)

        assert np.abs(new.data - was).min() > 1e-3
        np.testing.assert_array_equal(new.data, plain.net.params["a"][1].data)
        np.testing.assert_array_equal(old.data, was)
        assert [p.blob for p in changed.net.learnable_params] == [changed.net.params["a"][0], new]
        assert [p.lr_mult for p in changed.net.learnable_params] == [2, 0.5]

    def test_a_blob_that_was_shared_gets_its_own_gradient(self):
        """It keeps the multipliers that it had while it was shared."""
        net = caffe.Net(train_net(), caffe.TRAIN)
        assert [("a", 0), ("a", 1)] == [(p.layer, p.index) for p in net.learnable_params]
        net.params["b"][0] = random_blob((2, 3))

        assert [("a", 0, 2), ("a", 1, 0.5), ("b", 0, 2)] == [(p.layer, p.index, p.lr_mult)
                                                             for p in net.learnable_params]
        net.forward()
        net.clear_param_diffs()
        net.backward()
        before = [p.blob.data.copy() for p in net.learnable_params]
        net.update()

        for data, param in zip(before, net.learnable_params, strict=True):
            assert np.abs(param.blob.diff).max() > 0
            np.testing.assert_array_equal(data - param.blob.diff, param.blob.data)

    def test_one_blob_in_two_layers_is_updated_once(self):
        """Whoever made the two layers share it."""
        net = caffe.Net(train_net(), caffe.TRAIN)
        net.params["b"][0] = random_blob((2, 3))
        net.params["a"][0] = net.params["b"][0]

        assert [("a", 0), ("a", 1)] == [(p.layer, p.index) for p in net.learnable_params]
        assert net.all_params[2].owner is net.all_params[0]

    def test_a_blob_more(self):
        """It is learnable, has its flag for backward, and belongs to the layer that it was added to."""
        net = caffe.Net(train_net(), caffe.TRAIN)
        net.layer_dict["a"].blobs.add_blob(4)
        net.layer_dict["loss"].blobs.add_blob(6)

        assert [("a", 0), ("a", 1), ("a", 2), ("loss", 0)] == [(p.layer, p.index) for p in net.learnable_params]
        assert [True] * 3 == net.layer_dict["a"].param_propagate_down
        net.set_debug_info(True)
        net.forward()
        net.backward()
        del net.layer_dict["a"].blobs[2]

        assert [("a", 0), ("a", 1), ("loss", 0)] == [(p.layer, p.index) for p in net.learnable_params]

    @pytest.mark.parametrize(("change", "words"), [
        (lambda blobs: blobs.add_blob(4), r"they are \(2, 3\), \(2,\), \(4,\) now"),
        (lambda blobs: blobs.__setitem__(1, Blob((6,))), r"they are \(2, 3\), \(6,\) now")])
    def test_blobs_that_the_history_does_not_fit(self, change, words, tmp_path):
        """The solver says so, rather than write momentum over the memory of another blob."""
        one = solver(tmp_path)
        one.step(1)
        change(one.net.params["a"])
        for param in one.net.learnable_params:
            param.blob.diff[...] = 1
        with pytest.raises(SolverError, match=rf"{words}\n  hint: make the solver anew"):
            one.apply_update()


def test_blobs_are_copied_and_pickled():
    """Alone and in their list, with data, diff and shape."""
    blobs = BlobVec([random_blob((2, 3)), random_blob((4,))])
    blobs[1].diff[...] = 7
    for made in (pickle.loads(pickle.dumps(blobs)), copy.deepcopy(blobs)):
        blobs[0].data[...] += 1

        assert type(made) is BlobVec
        assert [(2, 3), (4,)] == [blob.shape for blob in made]
        assert not np.shares_memory(made[1].data, blobs[1].data)
        np.testing.assert_array_equal(made[1].data, blobs[1].data)
        assert [7] == np.unique(made[1].diff).tolist()
        assert np.abs(made[0].data - blobs[0].data).min() > 0.9


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: Blob((2, 3)).reshape(shape=(3, 2)), LayerError, "^Blob.reshape takes no kwargs, got shape"),
    (lambda: BlobVec().add_blob(shape=(3, 2)), LayerError, "^BlobVec.add_blob takes no kwargs, got shape"),
    (lambda: Blob((2, 3)).reshape(2, 1.5), TypeError, "float"),
    (lambda: Blob((2, 3)).reshape(2, -1), LayerError, "sizes cannot be negative")])
def test_sizes_that_are_none(call, error, words):
    """As in Caffe, which takes whole numbers by position; RuntimeError is what it raises."""
    with pytest.raises(error, match=words):
        call()


def test_sizes_of_a_blob():
    """A new shape is given by separate sizes, of Python or of numpy."""
    blob = Blob((2, 3))
    blob.reshape(np.int64(5), 4, 1, np.int32(7))

    assert (5, 4, 1, 7) == blob.shape == (blob.num, blob.channels, blob.height, blob.width)
    assert 140 == blob.count == blob.data.size
    blob.reshape()
    assert () == blob.shape == blob.diff.shape


@pytest.mark.parametrize(("change", "seen"), [
    (lambda blobs: blobs.__setitem__(0, Blob((1,))), r"\(1,\), \(4,\)"),
    (lambda blobs: blobs.__setitem__(1, Blob((5,))), r"\(4, 210\), \(5,\)"),
    (lambda blobs: blobs[0].reshape(210, 4), r"\(210, 4\), \(4,\)"),
    (lambda blobs: blobs.pop(), r"\(4, 210\)"), (lambda blobs: blobs.clear(), "none")])
def test_blobs_with_which_the_layer_cannot_compute(engine, change, seen):
    """Caffe reads whatever lies behind the blob's memory. The error has the shapes, in passes forward and backward."""
    net = make()
    for _ in range(4):
        net.forward()
    change(net.params["ip"])
    words = rf"layer 'ip' \(InnerProduct\): has the blobs {seen}, but it was set up for \(4, 210\), \(4,\)\n  hint: "
    for run in (net.forward, net.forward, lambda: net.layer_dict["ip"].Backward(net.tops[4], [True], net.bottoms[4])):
        with pytest.raises(LayerError, match=words):
            run()


@pytest.mark.parametrize("change", [
    lambda blobs: blobs.__setitem__(0, np.zeros((4, 210))), lambda blobs: blobs.append(np.zeros(3)),
    lambda blobs: blobs.extend([Blob((2,)), np.zeros(3)]), lambda blobs: blobs.insert(1, np.zeros(3)),
    lambda blobs: blobs.__setitem__(slice(0, 2), np.zeros((3, 2)))])
def test_only_blobs_are_taken(change):
    """An array is often meant to be written into a blob; the error says how, and the list is as before."""
    blobs = make().params["ip"]
    before = list(blobs)
    with pytest.raises(TypeError, match=r"holds Blobs alone, got ndarray: blobs\[k\].data\[...\] = array writes"):
        change(blobs)

    assert before == blobs
