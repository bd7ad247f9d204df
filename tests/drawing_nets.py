"""Nets to draw, as prototxts: a residual net of 152 layers, inception modules, a Siamese net, two phases."""

from net_tools import inputs, layer


def conv(bottom, top, outputs, kernel=1, stride=1, relu=True):
    """A Convolution with BatchNorm and Scale, as residual nets have them, and a ReLU."""
    text = layer("Convolution", bottom, top, f"convolution_param {{ num_output: {outputs} kernel_size: {kernel} "
                 f"pad: {kernel // 2} stride: {stride} bias_term: false }}")
    text += layer("BatchNorm", top, top, name=f"bn_{top}")
    text += layer("Scale", top, top, "scale_param { bias_term: true }", name=f"scale_{top}")
    return text + (layer("ReLU", top, top, name=f"{top}_relu") if relu else "")


def bottleneck(bottom, name, width, stride, projects):
    text = conv(bottom, f"{name}_branch1", 4 * width, 1, stride, relu=False) if projects else ""
    text += conv(bottom, f"{name}_branch2a", width, 1, stride) + conv(f"{name}_branch2a", f"{name}_branch2b", width, 3)
    text += conv(f"{name}_branch2b", f"{name}_branch2c", 4 * width, relu=False)
    text += layer("Eltwise", f"{f'{name}_branch1' if projects else bottom} {name}_branch2c", name)
    return text + layer("ReLU", name, name, name=f"{name}_relu")


def resnet(*blocks):
    """The residual net with so many bottleneck blocks in each stage; 3, 8, 36, 3 is ResNet-152."""
    text = 'name: "ResNet"\n' + inputs(data=(2, 3, 96, 64)) + conv("data", "conv1", 8, 7, 2)
    text += layer("Pooling", "conv1", "pool1", "pooling_param { kernel_size: 3 stride: 2 }")
    bottom = "pool1"
    for stage, count in enumerate(blocks):
        for n in range(count):
            name = f"res{stage + 2}b{n}"
            text += bottleneck(bottom, name, 4 * 2 ** stage, 2 if n == 0 and stage else 1, projects=n == 0)
            bottom = name
    text += layer("Pooling", bottom, "pool5", "pooling_param { pool: AVE global_pooling: true }")
    return text + layer("InnerProduct", "pool5", "fc", "inner_product_param { num_output: 10 }") + layer(
        "Softmax", "fc", "prob")


def plain(bottom, top, outputs, kernel):
    return layer("Convolution", bottom, top, f"convolution_param {{ num_output: {outputs} kernel_size: {kernel} "
                 f"pad: {kernel // 2} }}") + layer("ReLU", top, top, name=f"{top}_relu")


def inception(bottom, name, outputs):
    """GoogLeNet's module: four ways, joined again."""
    text = plain(bottom, f"{name}/1x1", outputs, 1) + plain(bottom, f"{name}/3x3_reduce", outputs + 1, 1)
    text += plain(f"{name}/3x3_reduce", f"{name}/3x3", outputs + 2, 3) + plain(bottom, f"{name}/5x5_reduce", 2, 1)
    text += plain(f"{name}/5x5_reduce", f"{name}/5x5", outputs, 5)
    text += layer("Pooling", bottom, f"{name}/pool", "pooling_param { kernel_size: 3 stride: 1 pad: 1 }")
    text += plain(f"{name}/pool", f"{name}/proj", 3, 1)
    joined = f"{name}/1x1 {name}/3x3 {name}/5x5 {name}/proj"
    return text + layer("Concat", joined, f"{name}/output")


def googlenet(*outputs):
    """Inception modules, one behind the other, with so many outputs."""
    text, bottom = 'name: "Inception"\n' + inputs(data=(2, 3, 9, 7)), "data"
    for n, each in enumerate(outputs):
        name = f"inception_{'abcdefghij'[n]}"
        text, bottom = text + inception(bottom, name, each), f"{name}/output"
    return text


def shared(bottom, top, outputs, kernel, of):
    return layer("Convolution", bottom, top, f'param {{ name: "{of}_w" }} param {{ name: "{of}_b" }} convolution_param '
                 f'{{ num_output: {outputs} kernel_size: {kernel} }}')


SIAMESE = 'name: "Siamese"\n' + inputs(pair=(3, 2, 9, 8), similar=(3,)) + layer(
    "Slice", "pair", "image image_p", "slice_param { axis: 1 }", name="slice") + "".join(
    shared(f"image{p}", f"conv{p}", 4, 3, "conv") + layer("Flatten", f"conv{p}", f"flat{p}")
    for p in ("", "_p")) + layer("ContrastiveLoss", "flat flat_p similar", "loss")

TWO_PHASES = 'name: "Two"\n' + "".join(
    f'layer {{ name: "data" type: "Data" top: "data" top: "label" include {{ phase: {phase} }} '
    f'transform_param {{ crop_size: 8 }} data_param {{ source: "{phase}_db" batch_size: {batch} backend: LMDB }} }}\n'
    for phase, batch in (("TRAIN", 6), ("TEST", 5))) + layer(
    "InnerProduct", "data", "ip", "inner_product_param { num_output: 7 }") + layer(
    "Dropout", "ip", "ip", "include { phase: TRAIN }", name="drop") + layer("ReLU", "ip", "ip", name="relu") + layer(
    "SoftmaxWithLoss", "ip label", "loss") + layer("Accuracy", "ip label", "accuracy", "include { phase: TEST }")
