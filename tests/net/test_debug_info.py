"""The lines of `debug_info`, as BVLC Caffe printed them for the same net."""

import logging

import numpy as np
from net_tools import inputs, layer, make

NET = 'name: "dbg"' + """
layer { name: "in" type: "DummyData" top: "x" top: "t" dummy_data_param {
  shape { dim: 3 dim: 4 } shape { dim: 3 dim: 2 }
  data_filler { type: "constant" value: 0.5 } data_filler { type: "constant" value: 2 } } }
""" + layer("InnerProduct", "x", "h", 'param { name: "w" lr_mult: 1 } param { lr_mult: 2 } inner_product_param { '
            'num_output: 4 weight_filler { type: "constant" value: 0.25 } '
            'bias_filler { type: "constant" value: 0.1 } }', name="ip1") + layer("ReLU", "h", "h", name="r") + layer(
    "InnerProduct", "h", "g", 'param { name: "w" } param { lr_mult: 0 } inner_product_param { num_output: 4 '
    'weight_filler { type: "constant" value: 0.25 } }', name="ip2") + layer(
    "InnerProduct", "g", "f", 'inner_product_param { num_output: 2 weight_filler { type: "constant" value: 0.3 } }',
    name="ip3") + layer("TanH", "h", "s", name="side") + """
layer { name: "sil" type: "Silence" bottom: "s" }
""" + layer("EuclideanLoss", "f t", "loss") + 'layer { name: "loss2" type: "EuclideanLoss" bottom: "f" bottom: "t" }'

CAFFE = """\
net.cpp:593     [Forward] Layer in, top blob x data: 0.5
net.cpp:593     [Forward] Layer in, top blob t data: 2
net.cpp:593     [Forward] Layer t_in_1_split, top blob t_in_1_split_0 data: 2
net.cpp:593     [Forward] Layer t_in_1_split, top blob t_in_1_split_1 data: 2
net.cpp:593     [Forward] Layer ip1, top blob h data: 0.6
net.cpp:605     [Forward] Layer ip1, param blob w data: 0.25
net.cpp:605     [Forward] Layer ip1, param blob 1 data: 0.1
net.cpp:593     [Forward] Layer r, top blob h data: 0.6
net.cpp:593     [Forward] Layer h_r_0_split, top blob h_r_0_split_0 data: 0.6
net.cpp:593     [Forward] Layer h_r_0_split, top blob h_r_0_split_1 data: 0.6
net.cpp:593     [Forward] Layer ip2, top blob g data: 0.6
net.cpp:605     [Forward] Layer ip2, param blob w data: 0.25
net.cpp:605     [Forward] Layer ip2, param blob 1 data: 0
net.cpp:593     [Forward] Layer ip3, top blob f data: 0.72
net.cpp:605     [Forward] Layer ip3, param blob 0 data: 0.3
net.cpp:605     [Forward] Layer ip3, param blob 1 data: 0
net.cpp:593     [Forward] Layer f_ip3_0_split, top blob f_ip3_0_split_0 data: 0.72
net.cpp:593     [Forward] Layer f_ip3_0_split, top blob f_ip3_0_split_1 data: 0.72
net.cpp:593     [Forward] Layer side, top blob s data: 0.53705
net.cpp:593     [Forward] Layer loss, top blob loss data: 1.6384
net.cpp:593     [Forward] Layer loss2, top blob (automatic) data: 1.6384
net.cpp:621     [Backward] Layer loss2, bottom blob f_ip3_0_split_1 diff: 0.426667
net.cpp:621     [Backward] Layer loss, bottom blob f_ip3_0_split_0 diff: 0.426667
net.cpp:621     [Backward] Layer f_ip3_0_split, bottom blob f diff: 0.853333
net.cpp:621     [Backward] Layer ip3, bottom blob g diff: 0.512
net.cpp:632     [Backward] Layer ip3, param blob 0 diff: 1.536
net.cpp:632     [Backward] Layer ip3, param blob 1 diff: 2.56
net.cpp:621     [Backward] Layer ip2, bottom blob h_r_0_split_0 diff: 0.512
net.cpp:632     [Backward] Layer ip2, param blob 0 diff: 0.9216
net.cpp:621     [Backward] Layer h_r_0_split, bottom blob h diff: 0.512
net.cpp:621     [Backward] Layer r, bottom blob h diff: 0.512
net.cpp:632     [Backward] Layer ip1, param blob 0 diff: 1.6896
net.cpp:632     [Backward] Layer ip1, param blob 1 diff: 1.536
net.cpp:721     [Backward] All net params (data, diff): L1 norm = (6.8, 50.5856); L2 norm = (1.32665, 9.33246)"""


def lines(caplog):
    found = [f"{record.at} {record.getMessage()}" for record in caplog.records
             if record.getMessage().startswith("    [")]
    caplog.clear()
    return found


def test_lines_are_caffe_s(caplog):
    """Every line is BVLC Caffe's, up to the last digit of one float32 norm."""
    caplog.set_level(logging.INFO, "minicaffe")
    make("debug_info: true " + NET, dtype=np.float32).forward_backward()

    assert CAFFE.splitlines() == lines(caplog)  # Caffe's own last number is 9.33245: it sums in float32


def test_switch(caplog):
    """The switch acts at once, and what is switched on twice is printed once."""
    caplog.set_level(logging.INFO, "minicaffe")
    net = make(NET, dtype=np.float32)
    net.forward_backward()
    assert [] == lines(caplog)
    net.set_debug_info(True)
    net.set_debug_info(True)
    net.clear_param_diffs()
    net.forward_backward()
    assert CAFFE.splitlines() == lines(caplog)
    net.set_debug_info(False)
    net.forward_backward()
    assert [] == lines(caplog)


def test_part_of_a_pass(caplog):
    """A backward pass over some layers alone prints no norms of the whole net."""
    caplog.set_level(logging.INFO, "minicaffe")
    net = make("debug_info: true " + inputs(x=(2, 3)) + layer("Power", "x", "y", "loss_weight: 1"))
    net.forward()
    net.backward("y")

    assert [] == [line for line in lines(caplog) if "All net params" in line]
