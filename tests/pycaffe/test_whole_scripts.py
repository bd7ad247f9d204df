"""Small programs in the manner of pycaffe's users: several parts of the surface in one run."""

import numpy as np

from minicaffe import pycaffe as caffe
from minicaffe.pycaffe import alias
from minicaffe.pycaffe.proto import caffe_pb2

CLASSES = 3
DENSE = """
  layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 6 dim: 5 } } }
  layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
          convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 0.4 } } }
  layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
          inner_product_param { num_output: 7 weight_filler { type: "gaussian" std: 0.4 }
                                bias_filler { type: "gaussian" } } }
  layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
DATA_LAYER = """
import caffe
import numpy as np


class Points(caffe.Layer):
    def setup(self, bottom, top):
        self.params = eval(self.param_str)
        self.rng = np.random.RandomState(self.params["seed"])
        self.batches = 0

    def reshape(self, bottom, top):
        top[0].reshape(self.params["batch"], 2)
        top[1].reshape(self.params["batch"])

    def forward(self, bottom, top):
        labels = self.rng.randint(0, 3, self.params["batch"])
        middles = np.array([[3, 0], [-2, 2], [-2, -2]])
        top[0].data[...] = middles[labels] + self.rng.randn(self.params["batch"], 2) * 0.3
        top[1].data[...] = labels
        self.batches += 1

    def backward(self, top, propagate_down, bottom):
        pass
"""


def test_fully_connected_weights_serve_as_filters(tmp_path):
    """A net's InnerProduct becomes a Convolution of the same weights: the same answers, and a map on larger images."""
    dense, sliding = tmp_path / "dense.prototxt", tmp_path / "sliding.prototxt"
    dense.write_text(DENSE)
    sliding.write_text(DENSE.replace('"fc" type: "InnerProduct"', '"fc-conv" type: "Convolution"').replace(
        "inner_product_param { num_output: 7", "convolution_param { num_output: 7 kernel_h: 4 kernel_w: 3"))
    images = np.random.default_rng(5).standard_normal((2, 3, 6, 5)).astype(np.float32)
    net = caffe.Net(str(dense), caffe.TEST)
    net.save(str(tmp_path / "dense.caffemodel"))
    full = caffe.Net(str(sliding), str(tmp_path / "dense.caffemodel"), caffe.TEST)
    full.params["fc-conv"][0].data.flat = net.params["fc"][0].data.flat
    full.params["fc-conv"][1].data[...] = net.params["fc"][1].data
    full.save(str(tmp_path / "full.caffemodel"))

    again = caffe.Net(str(sliding), caffe.TEST, weights=str(tmp_path / "full.caffemodel"))
    wanted = net.forward(data=images)["prob"].copy()
    np.testing.assert_allclose(again.forward(data=images)["prob"][:, :, 0, 0], wanted, rtol=1e-5)

    wide = np.concatenate([images, images], axis=3)
    again.blobs["data"].reshape(*wide.shape)
    maps = again.forward_all(data=wide)["prob"]
    assert (2, 7, 1, 6) == maps.shape
    np.testing.assert_allclose(maps[:, :, 0, 0], wanted, rtol=1e-5)
    np.testing.assert_allclose(maps[:, :, 0, 5], wanted, rtol=1e-5)


def test_a_net_made_in_python_learns_from_a_python_layer(tmp_path, monkeypatch):
    """NetSpec, a data layer of one's own with param_str, a solver's messages, and a test net that is asked by hand."""
    (tmp_path / "points_of_whole_scripts.py").write_text(DATA_LAYER)
    monkeypatch.syspath_prepend(tmp_path)
    with alias.installed():  # the layer's file says `import caffe`
        solver = _solver(tmp_path)
    test_net = solver.test_nets[0]
    test_net.share_with(solver.net)
    solver.step(40)
    loss = float(solver.net.blobs["loss"].data)

    right = total = 0
    for _ in range(6):
        test_net.forward()
        right += (test_net.blobs["score"].data.argmax(1) == test_net.blobs["label"].data).sum()
        total += len(test_net.blobs["label"].data)
    assert loss < 0.1
    assert right / total > 0.95

    shown, read = test_net.blobs["data"].data.copy(), test_net.layers[0].batches
    test_net.forward(start="score")  # without the data layer, so on the batch that is there
    assert test_net.layers[0].batches == read
    np.testing.assert_array_equal(test_net.blobs["data"].data, shown)


def _solver(folder):
    """Write a train net, a test net and a solver, and return the solver that is made of them."""
    s = caffe_pb2.SolverParameter(base_lr=0.1, lr_policy="fixed", momentum=0.9, max_iter=100, random_seed=3,
                                  test_interval=1000, test_initialization=False, snapshot_prefix=str(folder / "s"))
    for phase, batch, seed in (("train", 16, 1), ("test", 25, 2)):
        n = caffe.NetSpec()
        n.data, n.label = caffe.layers.Python(module="points_of_whole_scripts", layer="Points", ntop=2,
                                              param_str=str({"batch": batch, "seed": seed}))
        n.score = caffe.layers.InnerProduct(n.data, num_output=CLASSES, weight_filler={"type": "xavier"})
        n.loss = caffe.layers.SoftmaxWithLoss(n.score, n.label)
        (folder / f"{phase}.prototxt").write_text(str(n.to_proto()))
    s.train_net = str(folder / "train.prototxt")
    s.test_net.append(str(folder / "test.prototxt"))
    s.test_iter.append(3)
    (folder / "solver.prototxt").write_text(str(s))
    return caffe.get_solver(str(folder / "solver.prototxt"))
