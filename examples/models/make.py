"""Write the nets and solvers of this folder: `python make.py`.

Each function below is one net, as its paper describes it, in the order in which an image passes through it. Layers have
the names that the published weights use, so that those load.
"""

from pathlib import Path

from prototxt_text import Fields, NetText, Word, field_lines

HERE = Path(__file__).parent
CLASSES = 1000
MAX, AVE = Word("MAX"), Word("AVE")

# Weights and biases; a bias learns twice as fast and does not decay, which Caffe's own nets began.
WEIGHT: Fields = {"lr_mult": 1, "decay_mult": 1}
BIAS: Fields = {"lr_mult": 2, "decay_mult": 0}
XAVIER: Fields = {"type": "xavier"}
MSRA: Fields = {"type": "msra"}  # He et al., arXiv:1502.01852; the pixels' large values would stay as large in a net
                                 # without BatchNorm


def gaussian(std: float) -> Fields:
    return {"type": "gaussian", "std": std}


def constant(value: float) -> Fields:
    return {"type": "constant", "value": value}


class ImageNet(NetText):
    """A net that sorts images of ImageNet into 1000 classes, and the layers that such nets are made of."""

    def __init__(self, name: str, *comment: str, size: int, batch: int, test_batch: int,
                 mean: tuple[float, ...] = (104, 117, 123), scale: float | None = None):
        super().__init__(name, *comment)
        self.name, self.batch, self.test_batch = name, batch, test_batch
        scaled: Fields = {} if scale is None else {"scale": scale}
        for phase, source, images in (("TRAIN", "ilsvrc12_train_lmdb", batch),
                                      ("TEST", "ilsvrc12_val_lmdb", test_batch)):
            self.source({
                "name": "data", "type": "Data", "top": ["data", "label"], "include": {"phase": Word(phase)},
                "transform_param": {**scaled, "mirror": phase == "TRAIN", "crop_size": size, "mean_value": list(mean)},
                "data_param": {"source": source, "batch_size": images, "backend": Word("LMDB")}})
        self.at = "data"

    def conv(self, name: str, outputs: int, kernel: int, *, stride: int = 1, pad: int = 0, group: int = 1,
             weight: Fields = XAVIER, bias: float | None = 0, decay: int = 1, bottom: str = "") -> str:
        """Add a convolution whose bias starts at `bias`; None stands for no bias."""
        sizes = {"num_output": outputs, "pad": pad, "kernel_size": kernel, "group": group, "stride": stride}
        usual = {"pad": 0, "group": 1, "stride": 1}
        fields: Fields = {key: value for key, value in sizes.items() if value != usual.get(key)}
        last: Fields = {"bias_term": False} if bias is None else {"bias_filler": constant(bias)}
        param = [{**WEIGHT, "decay_mult": decay}, BIAS][:1 if bias is None else 2]
        return self.layer(name, "Convolution", bottom, param=param,
                          convolution_param={**fields, "weight_filler": weight, **last})

    def full(self, name: str, outputs: int, weight: Fields, bias: float = 0) -> str:
        return self.layer(name, "InnerProduct", param=[WEIGHT, BIAS], inner_product_param={
            "num_output": outputs, "weight_filler": weight, "bias_filler": constant(bias)})

    def relu(self, name: str) -> None:
        self.in_place(name, "ReLU")

    def dropout(self, name: str, ratio: float = 0.5) -> None:
        self.in_place(name, "Dropout", dropout_param={"dropout_ratio": ratio})

    def pool(self, name: str, how: Word, kernel: int, stride: int, pad: int = 0, bottom: str = "") -> str:
        padded: Fields = {"pad": pad} if pad else {}
        return self.layer(name, "Pooling", bottom,
                          pooling_param={"pool": how, "kernel_size": kernel, "stride": stride, **padded})

    def lrn(self, name: str) -> str:
        return self.layer(name, "LRN", lrn_param={"local_size": 5, "alpha": 0.0001, "beta": 0.75})

    def norm(self, batch_norm: str, scale: str, **param: object) -> None:
        """Add a BatchNorm, and the Scale that learns the factor and the offset of each channel: Caffe's has none."""
        self.in_place(batch_norm, "BatchNorm", **param)
        self.in_place(scale, "Scale", scale_param={"bias_term": True})

    def loss(self, top_1: str = "accuracy", top_5: str = "accuracy_top5", loss: str = "loss") -> None:
        """Add the loss, and at TEST how often the class is the best score and among the best five."""
        scores = [self.at, "label"]
        self.layer(loss, "SoftmaxWithLoss", scores)
        self.layer(top_1, "Accuracy", scores, include={"phase": Word("TEST")})
        self.layer(top_5, "Accuracy", scores, include={"phase": Word("TEST")}, accuracy_param={"top_k": 5})


# --- 2012 to 2014 -------------------------------------------------------------------------------------------------

def alexnet() -> ImageNet:
    net = ImageNet("AlexNet", "AlexNet: Krizhevsky, Sutskever, Hinton, 2012, as BVLC trained it.",
                   "The names are those of bvlc_alexnet.caffemodel.", size=227, batch=256, test_batch=50)
    return _alexnet(net, bias=0.1, norm_first=True)


def caffenet() -> ImageNet:
    net = ImageNet("CaffeNet", "CaffeNet: AlexNet with pooling before normalization, so that less is normalized.",
                   "The names are those of bvlc_reference_caffenet.caffemodel.", size=227, batch=256, test_batch=50)
    return _alexnet(net, bias=1, norm_first=False)


def _alexnet(net: ImageNet, bias: float, norm_first: bool) -> ImageNet:
    """Add the layers. Some biases start at `bias`, so that their ReLUs begin with positive inputs."""

    def pool_and_norm(i: int) -> None:
        for norm in (norm_first, not norm_first):
            net.lrn(f"norm{i}") if norm else net.pool(f"pool{i}", MAX, 3, 2)

    net.conv("conv1", 96, 11, stride=4, weight=gaussian(0.01))
    net.relu("relu1")
    pool_and_norm(1)
    net.comment("Two groups: each half of the filters sees half of the channels, which two GPUs held in 2012.")
    net.conv("conv2", 256, 5, pad=2, group=2, weight=gaussian(0.01), bias=bias)
    net.relu("relu2")
    pool_and_norm(2)
    net.conv("conv3", 384, 3, pad=1, weight=gaussian(0.01))
    net.relu("relu3")
    net.conv("conv4", 384, 3, pad=1, group=2, weight=gaussian(0.01), bias=bias)
    net.relu("relu4")
    net.conv("conv5", 256, 3, pad=1, group=2, weight=gaussian(0.01), bias=bias)
    net.relu("relu5")
    net.pool("pool5", MAX, 3, 2)
    net.comment("Nearly all parameters are in the next three layers.")
    for i in (6, 7):
        net.full(f"fc{i}", 4096, gaussian(0.005), bias)
        net.relu(f"relu{i}")
        net.dropout(f"drop{i}")
    net.full("fc8", CLASSES, gaussian(0.01))
    net.loss()
    return net


def vgg_16() -> ImageNet:
    net = ImageNet("VGG-16", "VGG-16: Simonyan and Zisserman, arXiv:1409.1556, configuration D.",
                   "The names are those of VGG_ILSVRC_16_layers.caffemodel.",
                   size=224, batch=32, test_batch=10, mean=(103.939, 116.779, 123.68))
    for stage, (channels, convolutions) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], start=1):
        for i in range(1, convolutions + 1):
            net.conv(f"conv{stage}_{i}", channels, 3, pad=1)
            net.relu(f"relu{stage}_{i}")
        net.pool(f"pool{stage}", MAX, 2, 2)
    for i in (6, 7):
        net.full(f"fc{i}", 4096, XAVIER)
        net.relu(f"relu{i}")
        net.dropout(f"drop{i}")
    net.full("fc8", CLASSES, gaussian(0.01))
    net.loss()
    return net


INCEPTION = {  # outputs of 1x1; of 3x3, with those of the 1x1 before it; of 5x5, likewise; of the 1x1 after the pool
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64), "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128)}


def googlenet() -> ImageNet:
    net = ImageNet("GoogLeNet", "GoogLeNet: Szegedy et al., arXiv:1409.4842, as BVLC trained it.",
                   "The names are those of bvlc_googlenet.caffemodel.",
                   "The TRAIN net has two more classifiers, which bring gradients to the early layers.",
                   size=224, batch=32, test_batch=50)

    def conv(name: str, relu: str, outputs: int, kernel: int, bottom: str = "", **more: int) -> str:
        top = net.conv(name, outputs, kernel, bias=0.2, bottom=bottom, **more)
        net.relu(relu)
        return top

    def inception(block: str) -> None:
        """Add four ways side by side, of which each sees the same blob, and join their channels."""
        one, before_3, three, before_5, five, after_pool = INCEPTION[block]
        name, start = f"inception_{block}", net.at
        net.comment(f"Inception {block}")
        ways = [conv(f"{name}/1x1", f"{name}/relu_1x1", one, 1, start)]
        conv(f"{name}/3x3_reduce", f"{name}/relu_3x3_reduce", before_3, 1, start)
        ways.append(conv(f"{name}/3x3", f"{name}/relu_3x3", three, 3, pad=1))
        conv(f"{name}/5x5_reduce", f"{name}/relu_5x5_reduce", before_5, 1, start)
        ways.append(conv(f"{name}/5x5", f"{name}/relu_5x5", five, 5, pad=2))
        net.pool(f"{name}/pool", MAX, 3, 1, pad=1, bottom=start)
        ways.append(conv(f"{name}/pool_proj", f"{name}/relu_pool_proj", after_pool, 1))
        net.layer(f"{name}/output", "Concat", ways)

    conv("conv1/7x7_s2", "conv1/relu_7x7", 64, 7, pad=3, stride=2)
    net.pool("pool1/3x3_s2", MAX, 3, 2)
    net.lrn("pool1/norm1")
    conv("conv2/3x3_reduce", "conv2/relu_3x3_reduce", 64, 1)
    conv("conv2/3x3", "conv2/relu_3x3", 192, 3, pad=1)
    net.lrn("conv2/norm2")
    net.pool("pool2/3x3_s2", MAX, 3, 2)
    inception("3a")
    inception("3b")
    net.pool("pool3/3x3_s2", MAX, 3, 2)
    inception("4a")
    _auxiliary(net, 1)
    inception("4b")
    inception("4c")
    inception("4d")
    _auxiliary(net, 2)
    inception("4e")
    net.pool("pool4/3x3_s2", MAX, 3, 2)
    inception("5a")
    inception("5b")
    net.pool("pool5/7x7_s1", AVE, 7, 1)
    net.dropout("pool5/drop_7x7_s1", 0.4)
    net.full("loss3/classifier", CLASSES, XAVIER)
    net.loss("loss3/top-1", "loss3/top-5", "loss3/loss3")
    return net


def _auxiliary(net: ImageNet, i: int) -> None:
    """Add a classifier that only the TRAIN net has. The next layer goes on where it branches off."""
    start, name = net.at, f"loss{i}"
    net.comment("For training only")
    net.common = {"include": {"phase": Word("TRAIN")}}
    net.pool(f"{name}/ave_pool", AVE, 5, 3)
    net.conv(f"{name}/conv", 128, 1, bias=0.2)
    net.relu(f"{name}/relu_conv")
    net.full(f"{name}/fc", 1024, XAVIER, bias=0.2)
    net.relu(f"{name}/relu_fc")
    net.dropout(f"{name}/drop_fc", 0.7)
    net.full(f"{name}/classifier", CLASSES, XAVIER)
    net.layer(f"{name}/loss", "SoftmaxWithLoss", [net.at, "label"], f"{name}/loss1", loss_weight=0.3)
    net.common = {}
    net.at = start


# --- from 2015 on -------------------------------------------------------------------------------------------------

def resnet_18() -> ImageNet:
    net = ImageNet("ResNet-18", "ResNet-18: He et al., arXiv:1512.03385. The layers are named as in ResNet-50.",
                   size=224, batch=64, test_batch=25)
    return _resnet(net, depths=(2, 2, 2, 2), bottleneck=False)


def resnet_50() -> ImageNet:
    net = ImageNet("ResNet-50", "ResNet-50: He et al., arXiv:1512.03385. The names are those of "
                   "ResNet-50-model.caffemodel.", size=224, batch=32, test_batch=25)
    return _resnet(net, depths=(3, 4, 6, 3), bottleneck=True)


def _resnet(net: ImageNet, depths: tuple[int, ...], bottleneck: bool) -> ImageNet:
    """Add the layers: four stages of `depths` blocks, and a block has two or, with `bottleneck`, three convolutions."""

    def conv(name: str, outputs: int, kernel: int, stride: int = 1, bottom: str = "") -> str:
        top = net.conv(f"res{name}", outputs, kernel, stride=stride, pad=kernel // 2, weight=MSRA, bias=None,
                       bottom=bottom)
        net.norm(f"bn{name}", f"scale{name}")
        return top

    def block(name: str, channels: int, stride: int, widen: bool) -> None:
        """Add one block: what the convolutions compute is added to what they began with."""
        start = net.at
        net.comment(f"Block {name}")
        shortcut = conv(f"{name}_branch1", channels * (4 if bottleneck else 1), 1, stride, start) if widen else start
        steps = [(channels, 1), (channels, 3), (4 * channels, 1)] if bottleneck else [(channels, 3), (channels, 3)]
        for letter, (outputs, kernel) in zip("abc", steps, strict=False):
            first = letter == "a"
            conv(f"{name}_branch2{letter}", outputs, kernel, stride if first else 1, start if first else "")
            if letter != "abc"[len(steps) - 1]:
                net.relu(f"res{name}_branch2{letter}_relu")
        net.layer(f"res{name}", "Eltwise", [shortcut, net.at], eltwise_param={"operation": Word("SUM")})
        net.relu(f"res{name}_relu")

    if bottleneck:
        net.comment("This bias has no effect before BatchNorm, but the published weights have one.")
    net.conv("conv1", 64, 7, stride=2, pad=3, weight=MSRA, bias=0 if bottleneck else None)
    net.norm("bn_conv1", "scale_conv1")
    net.relu("conv1_relu")
    net.pool("pool1", MAX, 3, 2)
    for stage, depth in enumerate(depths, start=2):
        for i in range(depth):
            widen = i == 0 and (stage > 2 or bottleneck)  # elsewhere the block has as many channels as its bottom
            block(f"{stage}{chr(ord('a') + i)}", 2 ** (stage + 4), 2 if i == 0 and stage > 2 else 1, widen)
    net.pool("pool5", AVE, 7, 1)
    net.full("fc1000", CLASSES, gaussian(0.01))
    net.loss()
    return net


def squeezenet() -> ImageNet:
    net = ImageNet("SqueezeNet v1.1", "SqueezeNet: Iandola et al., arXiv:1602.07360, in version 1.1, which is as good "
                   "as 1.0 and", "needs less than half of its multiply-adds. "
                   "The names are those of squeezenet_v1.1.caffemodel.", size=227, batch=32, test_batch=25)

    def fire(i: int, squeezed: int, expanded: int) -> None:
        """Add a fire module: few channels, then many again, half of them from 1x1 and half from 3x3 filters."""
        name = f"fire{i}"
        net.comment(f"Fire {i}")
        start = net.conv(f"{name}/squeeze1x1", squeezed, 1)
        net.relu(f"{name}/relu_squeeze1x1")
        halves = []
        for kernel in (1, 3):
            halves.append(net.conv(f"{name}/expand{kernel}x{kernel}", expanded, kernel, pad=kernel // 2, bottom=start))
            net.relu(f"{name}/relu_expand{kernel}x{kernel}")
        net.layer(f"{name}/concat", "Concat", halves)

    net.conv("conv1", 64, 3, stride=2)
    net.relu("relu_conv1")
    net.pool("pool1", MAX, 3, 2)
    fire(2, 16, 64)
    fire(3, 16, 64)
    net.pool("pool3", MAX, 3, 2)
    fire(4, 32, 128)
    fire(5, 32, 128)
    net.pool("pool5", MAX, 3, 2)
    fire(6, 48, 192)
    fire(7, 48, 192)
    fire(8, 64, 256)
    fire(9, 64, 256)
    net.dropout("drop9")
    net.comment("A map of scores for each class; their average is the score of the image.")
    net.conv("conv10", CLASSES, 1, weight=gaussian(0.01))
    net.relu("relu_conv10")
    net.layer("pool10", "Pooling", pooling_param={"pool": AVE, "global_pooling": True})
    net.loss()
    return net


MOBILENET = [  # name, outputs and stride of each pair of layers
    ("2_1", 64, 1), ("2_2", 128, 2), ("3_1", 128, 1), ("3_2", 256, 2), ("4_1", 256, 1), ("4_2", 512, 2),
    *((f"5_{i}", 512, 1) for i in range(1, 6)), ("5_6", 1024, 2), ("6", 1024, 1)]


def mobilenet() -> ImageNet:
    net = ImageNet("MobileNet", "MobileNet v1, full width: Howard et al., arXiv:1704.04861.",
                   "The names are those of shicai's mobilenet.caffemodel.", size=224, batch=64, test_batch=25,
                   mean=(103.94, 116.78, 123.68), scale=0.017)

    def conv(name: str, relu: str, outputs: int, kernel: int, **more: int) -> None:
        net.conv(name, outputs, kernel, pad=kernel // 2, weight=MSRA, bias=None, **more)
        net.norm(f"{name}/bn", f"{name}/scale", batch_norm_param={"eps": 0.00001})
        net.relu(relu)

    conv("conv1", "relu1", 32, 3, stride=2)
    channels = 32
    for name, outputs, stride in MOBILENET:
        net.comment(f"Pair {name}: one 3x3 filter for each channel, then 1x1 filters that mix the channels.")
        conv(f"conv{name}/dw", f"relu{name}/dw", channels, 3, stride=stride, group=channels, decay=0)
        conv(f"conv{name}/sep", f"relu{name}/sep", outputs, 1)
        channels = outputs
    net.layer("pool6", "Pooling", pooling_param={"pool": AVE, "global_pooling": True})
    net.conv("fc7", CLASSES, 1, weight=gaussian(0.01))
    net.loss()
    return net


# --- how they are trained -----------------------------------------------------------------------------------------

STEP = {"lr_policy": "step", "gamma": 0.1, "stepsize": 100_000}
MULTISTEP = {"lr_policy": "multistep", "gamma": 0.1, "stepvalue": [150_000, 300_000]}


def poly(power: float) -> Fields:
    return {"lr_policy": "poly", "power": power}


# base_lr, policy, max_iter, weight_decay; then how many batches make an update, for those nets whose batches are small
NETS = {
    alexnet: (0.01, STEP, 450_000, 0.0005, 1),
    caffenet: (0.01, STEP, 450_000, 0.0005, 1),
    vgg_16: (0.01, STEP, 370_000, 0.0005, 8),
    googlenet: (0.01, poly(0.5), 2_400_000, 0.0002, 1),
    resnet_18: (0.1, MULTISTEP, 450_000, 0.0001, 4),
    resnet_50: (0.1, MULTISTEP, 450_000, 0.0001, 8),
    squeezenet: (0.04, poly(1), 170_000, 0.0002, 16),
    mobilenet: (0.1, poly(1), 450_000, 0.00004, 4)}


def solver(name: str, net: ImageNet, base_lr: float, policy: Fields, max_iter: int, weight_decay: float,
           iter_size: int) -> str:
    """Return the text of a solver. A test reads the 50,000 images of the validation set once."""
    return "\n".join([
        f"# How {net.name} is trained. An update learns from {iter_size * net.batch} images"
        + (f", in {iter_size} batches." if iter_size > 1 else "."),
        *field_lines({"net": f"{name}.prototxt", "iter_size": iter_size, "test_iter": 50_000 // net.test_batch,
                  "test_interval": 5000, "test_initialization": False, "base_lr": base_lr, **policy,
                  "momentum": 0.9, "weight_decay": weight_decay, "max_iter": max_iter, "display": 20,
                  "snapshot": 10_000, "snapshot_prefix": name}), ""])


def write(folder: Path) -> None:
    for make, settings in NETS.items():
        name, net = make.__name__, make()
        (folder / f"{name}.prototxt").write_text(net.text(), encoding="utf-8")
        (folder / f"{name}_solver.prototxt").write_text(solver(name, net, *settings), encoding="utf-8")


if __name__ == "__main__":
    write(HERE)
