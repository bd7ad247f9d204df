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
    TYPES[type_name] = layer_class
    if in_place:
        IN_PLACE.add(type_name)


def create(definition):
    type_name = one(definition, "type")
    if type_name not in TYPES:
        raise ValueError(f"layer {one(definition, 'name')} has the type {type_name}, which is not known")
    param = {}
    for name, messages in definition.items():
        if name.endswith("_param"):
            for field, values in messages[0].items():
                param[field] = values[0] if len(values) == 1 else values
    return TYPES[type_name](**param)


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
        self.definitions = insert_splits(definition["layer"])
        self.names = [one(layer, "name") for layer in self.definitions]
        self.layers, self.blobs = [], {}
        self.bottoms, self.tops, self.loss_weights = [], [], []
        for layer_definition in self.definitions:
            self._add(layer_definition)
        self.runs = [True] * len(self.layers)
        self.propagate_down = [[True] * len(bottom) for bottom in self.bottoms]

    def _add(self, definition):
        bottom_names, top_names = definition.get("bottom", []), definition.get("top", [])
        type_name, layer = one(definition, "type"), create(definition)
        bottoms = [self.blobs[name] for name in bottom_names]
        for k, name in enumerate(top_names):
            where = f"layer {one(definition, 'name')}, top {name}"
            if bottom_names[k:k + 1] == [name]:
                if type_name not in IN_PLACE:
                    raise ValueError(f"{where}: a layer of the type {type_name} cannot work in place")
            elif name in self.blobs:
                raise ValueError(f"{where}: a layer before has made a blob of this name, and its readers need it")
            else:
                self.blobs[name] = Blob()
        tops = [self.blobs[name] for name in top_names]
        layer.setup(bottoms, tops)
        layer.reshape(bottoms, tops)
        weights = list(definition.get("loss_weight", [1] if type_name.endswith("Loss") else []))
        self.layers.append(layer)
        self.bottoms.append(bottoms)
        self.tops.append(tops)
        self.loss_weights.append(weights + [0] * (len(tops) - len(weights)))

    @property
    def params(self):
        return [blob for layer in self.layers for blob in layer.blobs]

    def forward(self):
        total = 0.0
        for layer, bottom, top, weights in zip(self.layers, self.bottoms, self.tops, self.loss_weights, strict=True):
            layer.reshape(bottom, top)
            layer.forward(bottom, top)
            total += sum(weight * blob.data.sum() for blob, weight in zip(top, weights, strict=True) if weight)
        return total

    def backward(self):
        for top, weights in zip(self.tops, self.loss_weights, strict=True):
            for blob, weight in zip(top, weights, strict=True):
                blob.diff[...] = weight
        for i in reversed(range(len(self.layers))):
            if self.runs[i]:
                self.layers[i].backward(self.tops[i], self.propagate_down[i], self.bottoms[i])
