"""Net: the layers of a definition, wired by the names of their blobs."""

from my_caffe.blob import Blob
from my_caffe.eltwise import EltwiseLayer
from my_caffe.inner_product import InnerProductLayer
from my_caffe.input import InputLayer
from my_caffe.insert_splits import insert_splits
from my_caffe.power import PowerLayer
from my_caffe.prototxt import one
from my_caffe.relu import ReLULayer
from my_caffe.sigmoid import SigmoidLayer
from my_caffe.sigmoid_cross_entropy_loss import SigmoidCrossEntropyLossLayer
from my_caffe.split import SplitLayer

TYPES = {  # the class of each type of layers
    "Eltwise": EltwiseLayer, "InnerProduct": InnerProductLayer, "Input": InputLayer, "Power": PowerLayer,
    "ReLU": ReLULayer, "Sigmoid": SigmoidLayer, "SigmoidCrossEntropyLoss": SigmoidCrossEntropyLossLayer,
    "Split": SplitLayer}
IN_PLACE = {"ReLU", "Sigmoid"}  # the types that may work in place: their backward does not need x


def register(type_name, layer_class, in_place=False):
    """Add a type of layers to TYPES, and to IN_PLACE if it may work in place."""
    raise NotImplementedError


def create(definition):
    """Return the layer of a definition: an instance of the class of its type, with its parameters.

    The parameters are the fields of all messages whose names end in `_param`. A field that has one value gives this
    value, and a field that has several gives their list. Raise ValueError, with the type in its text, for a type that
    TYPES does not have.
    """
    raise NotImplementedError


class Net:
    """The layers of a definition, from the first to the last, and the blobs between them.

    definitions      the definitions of the layers, those of the Splits among them
    names            the names of the layers
    layers           the layers
    blobs            a dict: name -> Blob
    bottoms, tops    for each layer the list of its Blobs, which are those in `blobs`
    loss_weights     for each layer the list of λ, a number for each top
    runs             for each layer, whether it runs backward: True. Step 12 will say where it need not
    propagate_down   for each layer the list of flags that backward gets, one for each bottom: True
    """

    def __init__(self, definition):
        """Make all of this from a definition as parse gives it, whose layers are definition["layer"].

        Raise ValueError, with the names of the layer and of the blob, where two layers make a blob of one name, and
        where a type works in place that may not.
        """
        raise NotImplementedError

    @property
    def params(self):
        """The blobs of all layers in one list, in the order of the layers. This is what a solver gets."""
        raise NotImplementedError

    def forward(self):
        """Reshape and run each layer. Return Σ λ · L over all tops, where L is the sum of a top's numbers."""
        raise NotImplementedError

    def backward(self):
        """Write λ into the diff of each top. Then run the layers backward whose `runs` is True."""
        raise NotImplementedError
