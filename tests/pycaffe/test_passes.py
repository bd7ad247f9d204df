"""pycaffe's forward and backward: arrays by name, whole passes and parts, one batch and many."""

import copy

import numpy as np
import pytest

from minicaffe import pycaffe as caffe
from minicaffe.errors import NetError
from minicaffe.proto import NetParameter, SolverParameter
from minicaffe.proto import text as proto_text

NET = """
  force_backward: true
  layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 3 dim: 2 dim: 5 dim: 4 } } }
  layer { name: "side" type: "Input" top: "side" input_param { shape { dim: 3 dim: 6 } } }
  layer { name: "ip1" type: "InnerProduct" bottom: "data" top: "ip1"
          inner_product_param { num_output: 6 weight_filler { type: "xavier" } bias_filler { type: "uniform" } } }
  layer { name: "sum" type: "Eltwise" bottom: "ip1" bottom: "side" top: "sum" }
  layer { name: "relu" type: "ReLU" bottom: "sum" top: "sum" }
  layer { name: "ip2" type: "InnerProduct" bottom: "sum" top: "ip2"
          inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
  layer { name: "prob" type: "Softmax" bottom: "ip2" top: "prob" }
"""
LOSS = """
  layer { name: "x" type: "Input" top: "x" top: "t" input_param { shape { dim: 3 dim: 4 } shape { dim: 3 dim: 2 } } }
  layer { name: "y" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2
          weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" loss_weight: 0.5 }
"""
WORD = """
  layer { name: "word" type: "Input" top: "word" input_param { shape { %s } } }
  layer { name: "vector" type: "Embed" bottom: "word" top: "vector" embed_param { num_output: 3 input_dim: 9
          weight_filler { type: "xavier" } } }
"""
MISMATCH = "^Input blob arguments do not match net inputs"
UNSIZED = "^Input is not batch sized"


def make(text=NET, phase=caffe.TEST):
    return caffe.Net(proto_text.parse(text, NetParameter()), phase)


def rows(count, seed=0):
    """Inputs of `count` rows."""
    draw = np.random.default_rng(seed)
    return {"data": draw.standard_normal((count, 2, 5, 4)).astype(np.float32),
            "side": draw.standard_normal((count, 6)).astype(np.float32)}


class TestForward:
    """Arrays for the inputs go in, and those of outputs come out."""

    def test_what_it_returns(self):
        """The outputs, then the blobs asked for, each once and in this order."""
        net, x = make(), rows(3)

        assert ["prob"] == list(net.forward(**x))
        assert ["prob", "side", "ip1"] == list(net.forward(blobs=["side", "prob", "ip1"], **x))
        assert ["sum", "data"] == list(net.forward(["data"], end="relu", **x))
        assert ["ip2"] == list(net.forward(start="ip2", end="ip2"))
        np.testing.assert_array_equal(net.blobs["data"].data, x["data"])
        np.testing.assert_allclose(net.blobs["prob"].data.sum(axis=1), 1, rtol=1e-6)

    def test_an_array_of_fewer_axes(self):
        """A batch of one row takes it, as in captioners: one word is (1,). With more rows, it is refused."""
        for sizes, filled in (("dim: 1 dim: 1", [[7]]), ("dim: 1 dim: 2", [[7, 7]])):
            net = make(WORD % sizes)
            net.forward(word=np.array([7]))
            np.testing.assert_array_equal(net.blobs["word"].data, filled)
            np.testing.assert_array_equal(net.blobs["vector"].data[0, 0], net.params["vector"][0].data[7])
        with pytest.raises(NetError, match=UNSIZED):
            make(WORD % "dim: 5 dim: 5").forward(word=np.arange(5))

    def test_results_are_the_blobs_memory(self):
        """The next pass overwrites them; after the blob has grown, it has new memory, and they stay as they were."""
        net = make()
        first = net.forward(**rows(3))["prob"]
        assert first is net.blobs["prob"].data
        before = first.copy()
        assert first is net.forward(**rows(3, 1))["prob"]
        assert np.abs(first - before).max() > 1e-3
        before = first.copy()
        for name, values in rows(8).items():
            net.blobs[name].reshape(*values.shape)
        grown = net.forward(**rows(8))["prob"]

        assert (8, 7) == grown.shape
        assert not np.shares_memory(first, grown)
        np.testing.assert_array_equal(first, before)

    def test_edits_of_weights_are_seen(self):
        """Through the arrays and through `flat`, also by passes that are recorded."""
        net, x = make(), rows(3)
        for _ in range(4):
            net.forward(**x)
        net.params["ip2"][0].data[...] = 0
        np.testing.assert_allclose(net.forward(**x)["prob"], 1 / 7, rtol=1e-6)
        net.params["ip2"][1].data.flat = np.log(np.arange(1, 8))

        np.testing.assert_allclose(net.forward(**x)["prob"], [np.arange(1, 8) / 28] * 3, rtol=1e-6)

    @pytest.mark.parametrize("change", [
        lambda x: x.astype(np.float64), lambda x: x.astype(np.float16), lambda x: x.tolist(), list,
        np.asfortranarray, lambda x: np.repeat(x, 2, axis=1)[:, ::2]])
    def test_arrays_of_any_kind(self, change):
        """Other number types, lists, and arrays that are not in C order."""
        net, x = make(), {name: np.round(values) for name, values in rows(3).items()}
        net.forward(**x)
        want = {name: blob.data.copy() for name, blob in net.blobs.items()}
        net.forward(**rows(3, 1))
        net.forward(**{name: change(values) for name, values in x.items()})

        for name, data in want.items():
            np.testing.assert_array_equal(net.blobs[name].data, data)

    def test_an_input_without_the_axis_of_its_one_channel(self):
        """The cure for grey images (N, H, W) is another than for a single image."""
        net = make('layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 1 dim: 5 dim: 4 } } }')
        with pytest.raises(NetError, match=r"hint: x\[:, np.newaxis\] has the axis of the channel$"):
            net.forward(x=np.zeros((3, 5, 4)))

    @pytest.mark.parametrize(("change", "words"), [
        ({"side": None}, f"{MISMATCH}: got data, and the net has data, side"),
        ({"sides": rows(3)["side"]}, rf"{MISMATCH}: got data, side, sides, .*\n  hint: did you mean 'side'\?"),
        ({"data": rows(1)["data"]}, rf"{UNSIZED}: blob 'data' is \(3, 2, 5, 4\), got an array of shape "
                                    r"\(1, 2, 5, 4\)\n  hint: net.blobs\['data'\].reshape\(1, 2, 5, 4\) gives"),
        ({"data": rows(4)["data"]}, UNSIZED),
        ({"data": rows(1)["data"][0]}, rf"{UNSIZED}: .*, got an array of shape \(2, 5, 4\)\n  hint: "
                                       r"data\[np.newaxis\] has the axis of the batch; net.blobs\['data'\].reshape\("),
        ({"data": np.zeros((3, 5, 4))}, UNSIZED),
        ({"data": np.zeros((5, 4))}, rf"{UNSIZED}: .*\n  hint: data\[np.newaxis, np.newaxis\] has the axes that are "
                                     r"missing; net.blobs\['data'\].reshape\(1, 1, 5, 4\) gives"),
        ({"data": np.zeros(40)}, rf"{UNSIZED}: .*\n  hint: the array needs all 4 axes: array.reshape\(...\) "
                                 "adds them$"),
        ({"data": np.zeros((1, 3, 2, 5, 4))}, UNSIZED),
        ({"data": 0}, rf"{UNSIZED}: .*, got an array of shape \(\)"),
        ({"side": np.zeros((3, 5))}, r"blob 'side' is \(3, 6\), and the array for it does not fit: .*\(3,5\)"),
        ({"side": [["a"] * 6] * 3}, r"blob 'side' is \(3, 6\), and the array for it does not fit: "),
    ])
    def test_inputs_that_do_not_fit(self, change, words):
        """They are refused with Caffe's words and the shapes; one row is not used for all."""
        given = {name: values for name, values in (rows(3) | change).items() if values is not None}
        net = make()
        before = [net.blobs[name].data.copy() for name in net.inputs]
        with pytest.raises(NetError, match=words):
            net.forward(**given)
        if "side" not in change:
            np.testing.assert_array_equal(before[1], net.blobs["side"].data)

    def test_a_net_without_inputs(self):
        """It takes no arrays."""
        net = make('layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 } } }')
        with pytest.raises(NetError, match=f"{MISMATCH}: got x, and the net has none"):
            net.forward(x=np.zeros(2))

    @pytest.mark.parametrize(("kind", "run"), [
        (ValueError, lambda net: net.forward(end="probs")), (ValueError, lambda net: net.backward(start="probs")),
        (KeyError, lambda net: net.forward(["sums"])), (KeyError, lambda net: net.backward(["sums"])),
        (ValueError, lambda net: net.forward(**rows(3) | {"side": np.zeros((3, 5))})),
        (ValueError, lambda net: net.backward(prob=np.zeros((3, 6))))])
    def test_kinds_of_errors(self, kind, run):
        """Scripts catch what Python raises in pycaffe; they are errors of nets, too."""
        with pytest.raises(NetError) as caught:
            run(make())
        assert isinstance(caught.value, kind)

    @pytest.mark.parametrize(("call", "words"), [
        ({"start": "ip"}, r"no layer 'ip'\n  hint: did you mean 'ip1' or 'ip2'\?"),
        ({"end": "probs"}, r"no layer 'probs'\n  hint: did you mean 'prob'\?"),
        ({"blobs": ["prob", "sums"]}, r"no blob 'sums'\n  hint: did you mean 'sum'\?")])
    def test_names_that_are_not_there(self, call, words):
        """The error has the name and those like it, and nothing has run."""
        net = make()
        net.blobs["prob"].data[...] = 5
        with pytest.raises(NetError, match=words):
            net.forward(**call)

        assert [5] == np.unique(net.blobs["prob"].data).tolist()

    def test_a_name_alone(self):
        """A string is no list of names."""
        with pytest.raises(TypeError, match=r"blobs must be a list of names, got the string 'sum': write \['sum'\]"):
            make().forward(blobs="sum")

    def test_by_index(self):
        """`_forward` returns the loss of the layers that run."""
        net = make(LOSS)
        net.blobs["x"].data[...] = 0
        net.blobs["t"].data[...] = 2

        assert 0.5 * 2 * 4 * 3 / (2 * 3) == net._forward(0, 2) == float(net.blobs["loss"].data) / 2
        assert 0 == net._forward(0, 1)
        with pytest.raises(NetError, match="has 3 layers, 0 to 2, got 3"):
            net._forward(0, 3)


class TestBackward:
    """Arrays for the outputs' diffs go in, and those of the inputs come out."""

    def test_what_it_returns(self):
        """The inputs' diffs, or those of the last layer's bottoms, then those asked for."""
        net, dy = make(), np.random.default_rng(2).standard_normal((3, 7))
        net.forward(**rows(3))
        diffs = net.backward(prob=dy)
        y = net.blobs["prob"].data
        dip2 = y * (dy - (y * dy).sum(axis=1, keepdims=True))
        dsum = dip2 @ net.params["ip2"][0].data * (net.blobs["sum"].data > 0)

        assert ["data", "side"] == list(diffs)
        assert diffs["data"] is net.blobs["data"].diff
        np.testing.assert_allclose(net.blobs["prob"].diff, dy, rtol=1e-6)
        np.testing.assert_allclose(diffs["side"], dsum, rtol=1e-4, atol=1e-6)
        assert ["sum", "prob"] == list(net.backward(["prob", "sum"], start="relu", end="relu"))
        assert ["ip1", "side", "ip2"] == list(net.backward(diffs=["ip2"], end="sum"))

    @pytest.mark.parametrize(("call", "words"), [
        ({"ip2": np.zeros((3, 7))}, "^Top diff arguments do not match net outputs: got ip2, and the net has prob"),
        ({"prob": np.zeros((1, 7))}, r"^Diff is not batch sized: blob 'prob' is \(3, 7\), got an array of shape \(1, "),
        ({"prob": np.zeros(7)}, "^Diff is not batch sized"),
        ({"diffs": ["ip"]}, r"no blob 'ip'\n  hint: did you mean 'ip1' or 'ip2'\?"),
        ({"start": "soft"}, "no layer 'soft'"), ({"end": "dat"}, r"no layer 'dat'\n  hint: did you mean 'data'\?"),
        ({"diffs": "ip1"}, None)])
    def test_diffs_that_do_not_fit(self, call, words):
        """They are refused with Caffe's words."""
        net = make()
        with pytest.raises(NetError if words else TypeError, match=words):
            net.backward(**call)

    def test_a_loss(self):
        """Its diff is the weight of the loss, or a number that is given."""
        net = make(LOSS, caffe.TRAIN)
        net.blobs["t"].data[...] = 1
        net.forward()
        net.backward()
        assert 0.5 == net.blobs["loss"].diff
        one = net.params["y"][1].diff.copy()
        net.clear_param_diffs()
        net.backward(loss=1.5)

        np.testing.assert_allclose(net.params["y"][1].diff, 3 * one, rtol=1e-6)
        assert np.abs(one).min() > 0


class TestClearParamDiffs:
    """The diffs of the learnable blobs become zero."""

    def test_an_array_that_is_held_shows_it(self):
        """A diff array that the script holds becomes zero at once."""
        net = make(LOSS, caffe.TRAIN)
        net.blobs["x"].data[...] = net.blobs["t"].data[...] = 1
        diffs = [blob.diff for blob in net.params["y"]]
        for _ in range(2):
            net.forward()
            net.backward()
            assert np.abs(diffs[0]).min() > 0
            sums = [diff.copy() for diff in diffs]
            net.backward()
            np.testing.assert_allclose(diffs[0], 2 * sums[0], rtol=1e-6)
            net.clear_param_diffs()

            assert [0] == np.unique(np.concatenate([diff.ravel() for diff in diffs])).tolist()

    def test_a_solvers_nets(self, tmp_path):
        """They are the same class, and share their weights from the first test on."""
        body = LOSS.replace('type: "Input"', 'type: "DummyData"').replace("input_param {", """dummy_data_param {
            data_filler { type: "gaussian" }""")
        param = proto_text.parse(f'net_param {{ {body} }} base_lr: 0.1 lr_policy: "fixed" max_iter: 3 test_iter: 2 '
                                 "test_interval: 2", SolverParameter())
        (tmp_path / "solver.prototxt").write_text(proto_text.format(param))
        solver = caffe.get_solver(str(tmp_path / "solver.prototxt"))
        train, test = solver.net, solver.test_nets[0]
        assert {caffe.Net} == {type(train), type(test)}
        assert not np.shares_memory(train.params["y"][0].data, test.params["y"][0].data)
        solver.step(1)
        diff = train.params["y"][0].diff

        assert np.shares_memory(train.params["y"][0].data, test.params["y"][0].data)
        assert np.abs(diff).min() > 0
        train.clear_param_diffs()
        assert [0] == np.unique(diff).tolist()


class TestAllRows:
    """Any number of rows, batch by batch."""

    @pytest.mark.parametrize("count", [1, 3, 4, 6, 8])
    def test_forward_all(self, count):
        """Each row has the result that it has alone, and the last batch is filled with zeros."""
        net, x = make(), rows(count)
        found = net.forward_all(blobs=["ip1"], **x)

        assert ["prob", "ip1"] == list(found)
        assert [(count, 7), (count, 6)] == [values.shape for values in found.values()]
        for i in range(count):
            alone = net.forward(["ip1"], **{name: np.repeat(values[i:i + 1], 3, axis=0) for name, values in x.items()})
            for name, values in found.items():
                np.testing.assert_allclose(values[i], alone[name][0], rtol=1e-5, atol=1e-6)
        assert not any(np.shares_memory(values, net.blobs[name].data) for name, values in found.items())

    def test_no_rows(self):
        """Nothing runs, and the arrays have no rows."""
        assert {"prob": (0, 7)} == {name: values.shape for name, values in make().forward_all(**rows(0)).items()}

    def test_a_loss(self):
        """A loss has no rows, so there is one number for each batch."""
        net = make(LOSS)
        found = net.forward_all(["y"], x=np.zeros((7, 4)), t=np.full((7, 2), 2))

        assert {"loss": (3,), "y": (7, 2)} == {name: values.shape for name, values in found.items()}
        np.testing.assert_allclose(found["loss"], [4, 4, 4 / 3], rtol=1e-6)

    def test_several_rows_of_a_blob_for_each_of_the_batch(self):
        """They are cut where the rows of the input end."""
        net = make(NET + 'layer { name: "many" type: "Reshape" bottom: "prob" top: "many" '
                         'reshape_param { shape { dim: -1 dim: 1 } } }')

        assert (28, 1) == net.forward_all(**rows(4))["many"].shape

    def test_batches(self):
        """Slices of the size of the net's batch, the last one filled with zeros."""
        x = np.arange(1, 9).reshape(4, 2)
        batches = list(make()._batch({"a": x, "b": -x}))

        assert [[[1, 2], [3, 4], [5, 6]], [[7, 8], [0, 0], [0, 0]]] == [batch["a"].tolist() for batch in batches]
        assert all((batch["a"] == -batch["b"]).all() for batch in batches)
        assert [] == list(make()._batch({}))

    def test_forward_backward_all(self):
        """The data and the diffs of every row, as in a pass with it alone."""
        net, x, dy = make(), rows(5), np.random.default_rng(3).standard_normal((5, 7))
        data, diffs = net.forward_backward_all(["sum"], ["ip1"], prob=dy, **x)

        assert ["prob", "sum"] == list(data)
        assert [(5, 2, 5, 4), (5, 6), (5, 6)] == [diffs[name].shape for name in ("data", "side", "ip1")]
        for i in range(5):
            net.forward(**{name: np.repeat(values[i:i + 1], 3, axis=0) for name, values in x.items()})
            alone = net.backward(["ip1"], prob=np.repeat(dy[i:i + 1], 3, axis=0))
            np.testing.assert_allclose(data["prob"][i], net.blobs["prob"].data[0], rtol=1e-5, atol=1e-6)
            for name, values in diffs.items():
                np.testing.assert_allclose(values[i], alone[name][0], rtol=1e-4, atol=1e-6)

    def test_only_inputs(self):
        """The gradients are those of the loss, or of what the outputs' diffs hold."""
        net, x = make(), rows(4)
        net.blobs["prob"].diff[...] = 1
        data, diffs = net.forward_backward_all(**x)

        assert ((4, 7), (4, 2, 5, 4)) == (data["prob"].shape, diffs["data"].shape)
        np.testing.assert_allclose(diffs["side"], 0, atol=1e-6)  # of probabilities whose sum is always 1

    @pytest.mark.parametrize(("call", "words"), [
        (lambda net: net.forward_all(), f"{MISMATCH}: got none"),
        (lambda net: net.forward_all(data=None, side=None), "blob 'data' has no rows: got a NoneType"),
        (lambda net: net.forward_backward_all(data=np.array(3.0), side=4), "blob 'data' has no rows: got a ndarray"),
        (lambda net: net.forward_all(data=rows(4)["data"]), f"{MISMATCH}: got data, and the net has data, side"),
        (lambda net: net.forward_all(data=rows(4)["data"], side=rows(5)["side"]), "rows, got data: 4, side: 5"),
        (lambda net: net.forward_all(["prb"], **rows(4)), r"no blob 'prb'\n  hint: did you mean 'prob'\?"),
        (lambda net: net.forward_backward_all(), "rows, got no array"),
        (lambda net: net.forward_backward_all(**rows(4), prb=1), r"no input and no output 'prb': it has data, side, p"),
        (lambda net: net.forward_backward_all(**rows(4), prob=np.zeros((3, 7))), "side: 4, prob: 3"),
        (lambda net: net.forward_backward_all(data=rows(4)["data"]), MISMATCH),
    ])
    def test_arrays_that_do_not_fit(self, call, words):
        """Names and numbers of rows are checked before anything runs."""
        with pytest.raises(NetError, match=words):
            call(make())


def test_weights_are_shared():
    """`share_with` makes one memory of two nets' weights, layer by layer."""
    first, second = make(), make()
    second.share_with(first)
    first.params["ip1"][0].data[...] = 7

    assert [7] == np.unique(second.params["ip1"][0].data).tolist()
    np.testing.assert_array_equal(first.forward(**rows(3))["prob"], second.forward(**rows(3))["prob"])


def test_arrays_outlive_the_net():
    """Blobs and their arrays can be read when the net is gone."""
    net = make()
    net.forward(**rows(3))
    blobs, arrays = dict(net.blobs), [blob.data for blobs in net.params.values() for blob in blobs]
    sums = [blob.data.sum() for blob in blobs.values()]
    del net

    assert sums == [blob.data.sum() for blob in blobs.values()]
    assert all(np.isfinite(values).all() for values in arrays)


def test_a_copy_of_a_net():
    """It computes the same in memory of its own, and its hooks and names are its own."""
    net = make()
    made = copy.deepcopy(net)
    made.before_forward(lambda i: None)
    net.params["ip2"][0].data[...] = 0

    assert [] == net.before_layer
    assert list(net.blobs) == list(made.blobs)
    assert made.blobs["prob"] is made._blobs[-1]
    assert made.params["ip2"] is made.layer_dict["ip2"].blobs is made.layers[-2].blobs
    assert np.abs(made.forward(**rows(3))["prob"] - net.forward(**rows(3))["prob"]).max() > 1e-3
