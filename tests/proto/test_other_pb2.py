"""Messages of another caffe_pb2: what Caffe knows becomes ours, and nothing else is lost without a word."""

import re

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from minicaffe import Net, proto, solvers
from minicaffe.errors import ProtoError
from minicaffe.proto.other_pb2 import as_ours

FIELD = descriptor_pb2.FieldDescriptorProto
INPUT = proto.LayerParameter(name="x", type="Input", top=["x"],
                             input_param=proto.InputParameter(shape=[proto.BlobShape(dim=[2, 3])]))


@pytest.fixture(scope="module")
def theirs():
    """The messages of a fork: two fields more, one under another name and type, a value more, and a message more."""
    file = descriptor_pb2.FileDescriptorProto()
    proto.DESCRIPTOR.CopyToProto(file)
    messages = {message.name: message for message in file.message_type}
    permute = file.message_type.add(name="TripletLossParameter")
    permute.field.add(name="order", number=1, type=FIELD.TYPE_UINT32, label=FIELD.LABEL_REPEATED)
    messages["LayerParameter"].field.add(name="triplet_loss_param", number=9001, type=FIELD.TYPE_MESSAGE,
                                         type_name=".caffe.TripletLossParameter", label=FIELD.LABEL_OPTIONAL)
    messages["SolverParameter"].field.add(name="hard_type", number=9002, type=FIELD.TYPE_STRING,
                                          label=FIELD.LABEL_OPTIONAL)
    messages["PoolingParameter"].enum_type[0].value.add(name="SOFT", number=77)
    dropout = messages["DropoutParameter"].field[0]
    dropout.name, dropout.type = "keep", FIELD.TYPE_INT32
    dropout.ClearField("default_value")
    made = message_factory.GetMessages([file], descriptor_pool.DescriptorPool())
    return {name.removeprefix("caffe."): message for name, message in made.items()}


def test_what_caffe_knows_is_taken(theirs):
    """A net and a solver of another caffe_pb2 are as good as ours."""
    net = theirs["NetParameter"].FromString(proto.NetParameter(name="n", layer=[INPUT]).SerializeToString())

    assert as_ours(net, proto.NetParameter) == proto.NetParameter(name="n", layer=[INPUT])
    assert Net(net).blobs["x"].shape == (2, 3)


def test_what_only_a_fork_has_is_refused(theirs):
    """The error lists the fields with their places, and says which fork has the first of them."""
    net = theirs["NetParameter"].FromString(proto.NetParameter(layer=[INPUT] * 3).SerializeToString())
    net.layer[1].triplet_loss_param.order.extend([0, 2, 3, 1])
    net.layer[2].pooling_param.pool = 77
    net.layer[2].dropout_param.keep = 3

    with pytest.raises(ProtoError, match=re.escape("what Caffe does not have: layer[1].triplet_loss_param, layer[2]."
                                                   "dropout_param.keep, layer[2].pooling_param.pool: SOFT\n  hint: "
                                                   "'triplet_loss_param' belongs to the face recognition forks")):
        Net(net)


def test_a_forks_solver_is_refused(theirs):
    """A solver's field, and one in the net that stands inside the solver."""
    solver = theirs["SolverParameter"](base_lr=0.5, lr_policy="fixed", max_iter=3, hard_type="detection")
    solver.net_param.layer.add(name="x").triplet_loss_param.order.append(0)

    with pytest.raises(ProtoError, match=r"net_param\.layer\[0\]\.triplet_loss_param, hard_type\n|"
                                         r"hard_type, net_param\.layer\[0\]\.triplet_loss_param\n"):
        solvers.get_solver(solver)


def test_a_long_list_is_cut(theirs):
    """Five fields are listed, and the others are counted."""
    net = theirs["NetParameter"]()
    for _ in range(7):
        net.layer.add().triplet_loss_param.order.append(0)

    with pytest.raises(ProtoError, match=r"layer\[4\]\.triplet_loss_param and 2 more"):
        as_ours(net, proto.NetParameter)
