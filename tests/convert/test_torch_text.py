"""The text of a PyTorch module: what a reader sees. PyTorch is not needed here."""

import ast
import re

import pytest
from torch_tools import LABEL, LENET, LOSS, PROB, body, images, nets_of, written

from minicaffe.convert.torch_out import names, source
from minicaffe.convert.torch_out.module import module_of
from minicaffe.errors import LayerError

LENET_AS_A_MODULE = '''"""LeNet, written by minicaffe."""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


class LeNet(nn.Module):
    """It takes data (64 × 1 × 28 × 28) and returns prob."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, kernel_size=5)
        self.conv2 = nn.Conv2d(20, 50, kernel_size=5)
        self.ip1 = nn.Linear(800, 500)
        self.ip2 = nn.Linear(500, 10)

    def scores(self, data):
        """Return what the loss reads."""
        conv1 = self.conv1(data)
        pool1 = F.max_pool2d(conv1, 2, ceil_mode=True)
        conv2 = self.conv2(pool1)
        pool2 = F.max_pool2d(conv2, 2, ceil_mode=True)
        ip1 = self.ip1(pool2.flatten(1))
        ip1 = F.relu(ip1)
        return self.ip2(ip1)

    def forward(self, data):
        ip2 = self.scores(data)
        return F.softmax(ip2, dim=1)

    def loss(self, data, label):
        """Return the loss of a batch with its label, which training makes smaller."""
        ip2 = self.scores(data)
        return F.cross_entropy(ip2, label.long())


def load(path=Path(__file__).with_suffix(".safetensors")):
    """Return the net with its weights, ready to predict; `train()` makes it ready to learn."""
    net = LeNet()
    net.load_state_dict(read_safetensors(path))
    return net.eval()


'''


def test_lenet():
    """The whole file, but for the function that reads the weights."""
    module = written(LENET + PROB, LOSS)
    assert module.text.split("def read_safetensors")[0] == LENET_AS_A_MODULE
    assert [entry.name for entry in module.entries] == [
        f"{layer}.{tensor}" for layer in ("conv1", "conv2", "ip1", "ip2") for tensor in ("weight", "bias")]


def test_names_that_python_does_not_allow():
    """Each attribute and each variable has a legal name of its own, and hides nothing that the file needs."""
    given = ["1x1", "conv/3x3", "conv 3x3", "lambda", "train", "F", "torch", "self", "loss", "é", "名", "'\"\\", "nn",
             "load", "reorg", "forward", "type", "match", "a.b", "a-b"]
    text, x = images(), "data"
    for i, name in enumerate(given):
        quoted = name.replace("\\", "\\\\").replace("'", "\\'")
        text += f"layer {{ name: '{quoted}' type: 'Convolution' bottom: '{x}' top: '{quoted}' convolution_param {{ " \
                f"num_output: {i + 3} kernel_size: 1 }} }}\n"
        x = quoted
    module = written(text)
    tree = ast.parse(module.text)
    attributes = re.findall(r"self\.(\w+) = nn\.Conv2d", module.text)
    assert len(attributes) == len(given) == len(set(attributes))
    assert not set(attributes) & names.OF_MODULES
    assigned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assert not assigned & names.OF_THE_FILE
    assert attributes[:5] == ["layer_1x1", "conv_3x3", "conv_3x3_2", "layer_lambda", "train_2"]


def test_layers_without_a_name_and_names_that_look_like_numbered_ones():
    """Each layer is written, whatever it is called."""
    text, x = images(), "data"
    for i, name in enumerate(["c", "c", "c_2", "c 2", ""]):
        text += f"layer {{ name: '{name}' type: 'Convolution' bottom: '{x}' top: 'y{i}' convolution_param {{ " \
                f"num_output: {i + 3} kernel_size: 1 }} }}\n"
        x = f"y{i}"
    found = written(text).text
    assert len(set(re.findall(r"self\.(\w+) = nn\.Conv2d", found))) == 5
    assert found.count("= self.") + found.count("return self.") == 5


@pytest.mark.parametrize(("name", "expected"), [
    ("ResNet-50", "ResNet50"), ("", "Net"), ("2d net", "Net_2dNet"), ("cifar10_quick", "Cifar10Quick"),
    ("nn", "Nn"), ("torch", "Torch"), ("F", "F_2"), ('a"""b\\', "AB"), ("FrozenBatchNorm2d", "FrozenBatchNorm2d_2")])
def test_the_name_of_the_class(name, expected):
    """It follows from the name of the net, which may be any text."""
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    module = written(images(quoted) + "layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'y' }")
    ast.parse(module.text)
    assert module.class_name == expected
    assert f"class {expected}(nn.Module)" in module.text


def test_a_net_of_any_name_has_a_docstring():
    """Quotes and backslashes in a name do not end it."""
    module = written(images('x\\"\\"\\" import os \\\\') + "layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'y' }")
    assert ast.get_docstring(ast.parse(module.text)).startswith("x''' import os")


def test_a_variable_that_is_still_needed_is_kept():
    """A layer in place gives a variable a new value, unless another layer reads the old one later."""
    module = written(images() + """
        layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'y' }
        layer { name: 'own' type: 'TanH' bottom: 'y' top: 'z' }
        layer { name: 's' type: 'Sigmoid' bottom: 'z' top: 'z' }
        layer { name: 'sum' type: 'Eltwise' bottom: 'y' bottom: 'z' top: 'sum' }""")
    assert body(module) == ["y = F.relu(data)", "z = torch.tanh(y)", "z = torch.sigmoid(z)", "return y + z"]


def test_two_blobs_of_one_legal_name():
    """Blobs whose names differ in signs alone have variables of their own."""
    module = written(images() + """
        layer { name: 'a' type: 'ReLU' bottom: 'data' top: 'a/b' }
        layer { name: 'b' type: 'TanH' bottom: 'data' top: 'a-b' }
        layer { name: 'sum' type: 'Eltwise' bottom: 'a/b' bottom: 'a-b' top: 'sum' }""")
    assert body(module) == ["a_b = F.relu(data)", "a_b_b = torch.tanh(data)", "return a_b + a_b_b"]


def test_batch_norm_and_scale_are_one_module():
    """The Scale behind a BatchNorm is its weight and its bias, but only where PyTorch has both."""
    norm = "layer { name: 'n' type: 'BatchNorm' bottom: 'data' top: 'n' }\n"
    both = norm + "layer { name: 's' type: 'Scale' bottom: 'n' top: 's' scale_param { bias_term: true } }"
    assert body(written(images() + both)) == ["return self.n(data)"]
    assert "nn.BatchNorm2d(4, momentum=0.001)" in written(images() + both).text
    without = both.replace("bias_term: true", "axis: 1")
    assert body(written(images() + without)) == ["n = self.n(data)", "return n * self.s_weight"]
    read_twice = both + "layer { name: 'r' type: 'ReLU' bottom: 'n' top: 'r' }"
    assert body(written(images() + read_twice))[:2] == ["n = self.n(data)", "s = n * self.s_weight + self.s_bias"]


def test_only_the_helpers_that_are_needed():
    """A function of helpers.py stands in the file if it is called, with those that it calls itself."""
    pool = "layer {{ name: 'p' type: 'Pooling' bottom: 'data' top: 'p' pooling_param {{ kernel_size: 2 pad: {} }} }}"
    assert set(re.findall(r"^def (\w+)", written(images() + pool.format(1)).text, re.MULTILINE)) == {
        "load", "read_safetensors"}
    wide = pool.replace("size: 2", "size: 3").format(2)
    assert set(re.findall(r"^def (\w+)", written(images() + wide).text, re.MULTILINE)) == {
        "load", "read_safetensors", "wide_max_pool", "pad_for_pooling", "pair"}


def test_long_lines_are_broken():
    """No statement is wider than a file of Python should be, and what it says stays the same."""
    line = f"y = torch.cat([{', '.join(f'branch_{i}' for i in range(40))}], dim=1)"
    broken = source.wrapped(line, " " * 8)
    assert max(map(len, broken.splitlines())) <= source.WIDTH
    assert ast.dump(ast.parse(broken.strip())) == ast.dump(ast.parse(line))
    assert source.wrapped(f"f({'x' * 130})", "") == f"f({'x' * 130})"  # there is no comma to break it at


def test_types_without_a_form_are_named_together():
    """The error names all of them, and where the net can be cut."""
    with pytest.raises(LayerError) as caught:
        written("""layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 3 dim: 7 dim: 9 } } }
            layer { name: 'roi' type: 'Input' top: 'roi' input_param { shape { dim: 4 dim: 5 } } }
            layer { name: 'c' type: 'ReLU' bottom: 'x' top: 'c' }
            layer { name: 'p' type: 'ROIPooling' bottom: 'c' bottom: 'roi' top: 'p' roi_pooling_param { pooled_h: 2
              pooled_w: 3 } }
            layer { name: 'q' type: 'ROIAlign' bottom: 'c' bottom: 'roi' top: 'q' roi_pooling_param { pooled_h: 2
              pooled_w: 3 } }""")
    assert caught.value.message == "layer 'p' (ROIPooling) has no form in PyTorch; nor has 'q' (ROIAlign)"
    assert caught.value.hint.startswith("--outputs c ends the net before it")


def test_a_type_without_a_form_at_the_beginning():
    """Nothing is left where the net would be cut, so no flag is advised."""
    with pytest.raises(LayerError) as caught:
        written("""layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 3 dim: 7 dim: 9 } } }
            layer { name: 'roi' type: 'Input' top: 'roi' input_param { shape { dim: 4 dim: 5 } } }
            layer { name: 'p' type: 'ROIPooling' bottom: 'x' bottom: 'roi' top: 'p' roi_pooling_param { pooled_h: 2
              pooled_w: 3 } }""")
    assert caught.value.hint == "nothing can be computed before it"


def test_a_net_for_training_that_is_another_one():
    """Where the phases differ, only forward is written, and the reason is said."""
    inside = images() + "layer { name: 'c' type: 'Convolution' bottom: 'data' top: 'c' convolution_param { " \
                        "num_output: 3 kernel_size: 1 pad: 1 } }"
    net = inside + "layer { name: 'p' type: 'Pooling' bottom: 'c' top: 'p' pooling_param { pool: %s " \
                   "global_pooling: true } }"
    test, _ = nets_of(net % "AVE")
    _, train = nets_of(net % "MAX", LABEL + "layer { name: 'l' type: 'SoftmaxWithLoss' bottom: 'p' bottom: 'label' }")
    module = module_of(test, train)
    assert not module.has_loss
    assert module.remarks == ["no method loss is written: layer 'p' has other fields in the phase TRAIN"]


def test_a_layer_that_is_in_training_alone():
    """A Dropout that the phase TEST lacks gives the next layer another value to read."""
    scores = "layer { name: 'ip' type: 'InnerProduct' bottom: '%s' top: 'ip' inner_product_param { num_output: 4 } }"
    test, _ = nets_of(images() + scores % "data")
    _, train = nets_of(images() + "layer { name: 'd' type: 'Dropout' bottom: 'data' top: 'd' }" + scores % "d",
                       LABEL + "layer { name: 'l' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' }")
    module = module_of(test, train)
    assert not module.has_loss
    assert module.remarks == [
        "no method loss is written: layer 'ip' reads what other layers have made in the phase TRAIN"]
