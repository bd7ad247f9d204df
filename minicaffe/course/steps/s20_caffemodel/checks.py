"""The checks of step 20: the wire format from the bytes up, and three trained nets beside minicaffe's."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minicaffe.layers  # noqa: F401, because a net finds the types of layers there; loaded before a check begins
from minicaffe.course.checking import Draw, Mistake, compare, expect
from minicaffe.course.student import Student
from minicaffe.kernels import use_engine
from minicaffe.net import Net
from minicaffe.proto import TEST, BlobProto, LayerParameter, NetParameter, text

HERE = Path(__file__).parent
SQUEEZENET = HERE.parents[3] / "examples" / "classification" / "squeezenet"
TINY = HERE / "tiny.caffemodel"  # BVLC Caffe wrote it after six iterations
TINY_TEXT = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 2 dim: 5 dim: 5 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv" convolution_param { num_output: 3 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "frozen" type: "Scale" bottom: "conv" top: "frozen" }
layer { name: "ip" type: "InnerProduct" bottom: "frozen" top: "ip" inner_product_param { num_output: 4 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""
FILL = 'weight_filler { type: "gaussian" std: 0.3 } bias_filler { type: "gaussian" std: 0.3 }'
LENET_TEXT = f"""
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: 1 dim: 19 dim: 17 }} }} }}
layer {{ name: "conv1" type: "Convolution" bottom: "x" top: "conv1"
  convolution_param {{ num_output: 4 kernel_h: 3 kernel_w: 5 pad: 1 {FILL} }} }}
layer {{ name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param {{ kernel_size: 2 stride: 2 }} }}
layer {{ name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
  convolution_param {{ num_output: 5 kernel_size: 3 stride: 2 {FILL} }} }}
layer {{ name: "pool2" type: "Pooling" bottom: "conv2" top: "pool2"
  pooling_param {{ pool: AVE kernel_size: 3 stride: 2 pad: 1 }} }}
layer {{ name: "ip1" type: "InnerProduct" bottom: "pool2" top: "ip1" inner_product_param {{ num_output: 7 {FILL} }} }}
layer {{ name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }}
layer {{ name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2" inner_product_param {{ num_output: 3 {FILL} }} }}
layer {{ name: "prob" type: "Softmax" bottom: "ip2" top: "prob" }}
"""


def check_varint(my: Student, draw: Draw) -> None:
    """A varint is read from its place, the lowest seven bits first, and the place behind it is returned."""
    for number in (int(draw.rng.integers(1, 128)), 300, int(draw.rng.integers(1 << 20, 1 << 30)), 0, (1 << 63) + 5):
        piece, rest, pieces = b"", number, list[int]()
        while True:
            pieces.append(rest % 128)
            rest //= 128
            piece += bytes([pieces[-1] + (128 if rest else 0)])
            if not rest:
                break
        data = b"\x7f\xff" + piece + b"\x85\x01"
        called = f"varint(data, 2), data[2:] = {' '.join(f'{byte:02X}' for byte in data[2:])}"
        answer = my.caffemodel.varint(data, 2)
        expect(isinstance(answer, tuple) and len(answer) == 2, called, repr(answer), "(number, place)", "no_pair",
               "return both: the number, and the place behind it")
        got, place = answer
        big = sum(one << 7 * k for k, one in enumerate(reversed(pieces)))
        for wrong, name, hint in ((big, "highest_first", "the first byte holds the lowest seven bits"),
                                  (sum((one + (128 if k < len(pieces) - 1 else 0)) << 7 * k for k, one in enumerate(
                                      pieces)), "flag_in_the_number", "the highest bit of a byte only says whether "
                                   "another one follows: it is no part of the number"),
                                  (sum(one << 8 * k for k, one in enumerate(pieces)), "eight_bits",
                                   "each byte has seven bits of the number, so the next one counts 2⁷ times as much"),
                                  (127, "place_ignored", "the number begins at data[place]")):
            expect(got != wrong or wrong == number, called, got, number, name, hint)
        expect(got == number, called, got, number, "wrong_number", "add up (byte % 128) · 128^k for k = 0, 1, …")
        right = 2 + len(piece)
        expect(place != right - 1, called, f"place {place}", right, "place_of_the_last_byte",
               "return the place behind the number, where the next thing begins")
        expect(place != len(piece), called, f"place {place}", right, "place_without_its_beginning",
               "the place is counted from the beginning of data")
        expect(place == right, called, f"place {place}", right, "wrong_place", "the place moves on with each byte")
    _raises(lambda: my.caffemodel.varint(b"\x80\x80", 0), "varint(bytes 80 80, 0)", "the bytes end, although the "
            "highest bit of the last one says that another one follows")


def _raises(call: Any, called: str, hint: str) -> None:
    """Fail where this raises no ValueError."""
    answer, wrong = None, ""
    try:
        answer = call()
    except ValueError:
        return
    except IndexError as error:
        wrong = f"IndexError: {error}"
    expect(False, called, wrong or repr(answer), "ValueError", "no_value_error", hint)


def check_fields(my: Student, draw: Draw) -> None:
    """All fields of a message are read in their order, those with the same number too."""
    data = (b"\x08\x05"                              # 1, a varint
            b"\x12\x03abc"                           # 2, three bytes
            b"\x1d\x00\x00\x80\x3f"                  # 3, four bytes
            b"\xa2\x06\x02hi"                        # 100, two bytes: the tag has two bytes
            b"\x08\xac\x02"                          # 1 again
            b"\x21" + bytes(range(8)) + b"\x32\x00")  # 4, eight bytes; 6, no bytes
    right = [(1, 5), (2, b"abc"), (3, b"\x00\x00\x80\x3f"), (100, b"hi"), (1, 300), (4, bytes(range(8))), (6, b"")]
    called = f"fields({data!r})"
    got = [(number, bytes(value) if isinstance(value, bytearray | memoryview) else value)
           for number, value in my.caffemodel.fields(data)]
    numbers = [number for number, _ in got]
    expect(numbers != [8, 18, 29, 802, 8, 33, 50], called, f"the numbers {numbers}", [number for number, _ in right],
           "tag_for_number", "the tag is number · 8 + wire type: divide by 8")
    expect(len(got) != 6 or got == right, called, got, right, "last_one_wins", "a number may come several times, and "
           "each time counts")
    expect(got != sorted(right, key=lambda field: field[0]), called, got, right, "sorted", "the fields stay in their "
           "order")
    expect(got == right, called, got, right, "wrong_fields", "go through the bytes on paper: tag, value, tag, value")
    for broken, hint in ((b"\x12\x05abc", "five bytes are announced, and three are there. A slice takes what there is "
                          "and does not complain."),
                         (b"\x1d\x00\x00", "four bytes are announced by the wire type, and two are there"),
                         (b"\x0b\x0c", "the wire types 3 and 4 are not in use: these bytes are no caffemodel")):
        _raises(lambda broken=broken: my.caffemodel.fields(broken), f"fields({broken!r})", hint)


def check_blob_array(my: Student, draw: Draw) -> None:
    """A blob has the numbers of `data` or `double_data`, in the shape that it says, in new files and old ones."""
    a, b, c = draw.sizes(3)
    values = draw.numbers(a, b, c).astype(np.float32).astype(float)
    flat = values.ravel().tolist()
    cases = [("shape and data", BlobProto(shape={"dim": [a, b, c]}, data=flat)),
             ("shape and double_data", BlobProto(shape={"dim": [a, b, c]}, double_data=flat)),
             ("shape, data and diff", BlobProto(shape={"dim": [a, b, c]}, data=flat, diff=[9.0] * len(flat)))]
    for words, blob in cases:
        _compare_blob(my, words, blob.SerializeToString(), values)
    old = BlobProto(num=1, channels=a, height=b, width=c, data=flat).SerializeToString()
    _compare_blob(my, "num, channels, height, width and data", old, values[None])
    shape = b"\x3a\x06" + bytes([8, a, 8, b, 8, c])
    numbers = b"".join(b"\x2d" + np.array(v, "<f4").tobytes() for v in flat)
    _compare_blob(my, "shape and data, each number a field of its own", shape + numbers, values)
    one = BlobProto(shape={"dim": [1]}, data=[2.5]).SerializeToString()
    _compare_blob(my, "shape (1,) and data", one, np.array([2.5]))
    _compare_blob(my, "an empty shape and data", BlobProto(shape={"dim": []}, data=[2.5]).SerializeToString(),
                  np.array(2.5))
    long = BlobProto(shape={"dim": [300]}, data=[0.5] * 300).SerializeToString()
    _compare_blob(my, "shape (300,) and data", long, np.full(300, 0.5))


def _compare_blob(my: Student, words: str, data: bytes, right: np.ndarray) -> None:
    got = np.asarray(my.caffemodel.blob_array(data))
    called = f"blob_array(data), a blob with {words}"
    flat = right.ravel()
    with np.errstate(all="ignore"):
        swapped = flat.astype("<f4").view(">f4").astype(float).reshape(right.shape)
    expect(got.shape != flat.shape or right.ndim == 1, called, f"shape {got.shape}", f"shape {right.shape}",
           "shape_ignored", "give the array the shape that the blob says")
    compare(called, got, right, [
        Mistake("bytes_swapped", swapped, "floats begin with their lowest byte: \"<f4\""),
        Mistake("first_axis_fastest", flat.reshape(right.shape, order="F"), "the last axis is the one whose neighbours "
                "lie side by side, as numpy has it by itself"),
        Mistake("diff_for_data", np.full(right.shape, 9.0), "field 6 is the diff; the numbers are in field 5 or 8"),
        Mistake("last_number_alone", np.full(right.shape, flat[-1]), "each number is a field here: put them together")])
    expect(got.dtype == np.float64, f"{called} → dtype", got.dtype, "float64", "number_type",
           "your blobs hold float64: .astype(np.float64)")


def _file(folder: str, layers: Sequence[LayerParameter], name: str = "a.caffemodel") -> str:
    path = Path(folder) / name
    path.write_bytes(NetParameter(name="net", layer=layers).SerializeToString())
    return str(path)


def check_read(my: Student, draw: Draw) -> None:
    """All weights of a file are found by the names of their layers; what is not asked for is passed over."""
    K, D = draw.sizes(2)
    w, b = (draw.numbers(*shape).astype(np.float32).astype(float) for shape in ((K, D), (K,)))
    blobs = [BlobProto(shape={"dim": list(one.shape)}, data=one.ravel()) for one in (w, b)]
    layers = [LayerParameter(name="x", type="Input", top=["x"]),
              LayerParameter(name="größe", type="InnerProduct", bottom=["x"], top=["y"], blobs=blobs,
                             inner_product_param={"num_output": K}),
              LayerParameter(name="act", type="ReLU", bottom=["y"], top=["y"]),
              LayerParameter(name="last", type="Scale", bottom=["y"], top=["z"], blobs=blobs[1:])]
    with tempfile.TemporaryDirectory() as folder:
        found = my.caffemodel.read(_file(folder, layers))
    called, right = "read(path), a file with the layers x, größe, act, last", ["größe", "last"]
    names = list(found)
    expect(not names or all(isinstance(name, str) for name in names), called, names, right, "bytes_for_text",
           "names are texts: value.decode(\"utf-8\")")
    expect(sorted(names) != sorted(["x", *right, "act"]), called, names, right, "layers_without_weights",
           "layers without blobs are left out")
    expect("InnerProduct" not in names, called, names, right, "type_for_name", "field 1 is the name, field 2 the type")
    expect("größe" in names or len(names) != 2, called, names, right, "not_utf8", "names are UTF-8")
    expect(sorted(names) == right, called, names, right, "wrong_names",
           "field 100 of the file, once for each layer; field 1 of the layer")
    counts = [len(found[name]) for name in right]
    expect(counts == [2, 1], f"{called} → arrays for each", counts, [2, 1], "blobs_missing",
           "a layer has a field 7 for each of its blobs: collect all of them")
    for name, arrays in (("größe", (w, b)), ("last", (b,))):
        for got, one in zip(found[name], arrays, strict=True):
            compare(f"{called} → arrays of {name}", got, one, [
                Mistake("blobs_in_other_order", w if one is b else b, "the blobs stay in their order")])


def check_load(my: Student, draw: Draw) -> None:
    """Weights are copied by the names of layers, in the arrays there; what does not fit is refused."""
    D, K = draw.sizes(2)
    net = _net(my, D, K)
    w = {name: [draw.numbers(*blob.shape) for blob in net.layers[net.names.index(name)].blobs] for name in "abc"}
    held = [blob.data for blob in net.params]
    given = {"c": w["c"], "a": [w["a"][0], w["a"][1].reshape(1, 1, 1, K)], "unknown": [2 * one for one in w["b"]]}
    names = my.caffemodel.load(net, given)
    called = "load(net, weights), a net with the layers x, a, b, c, weights of c, a and unknown"
    right = [*w["a"], *(0 * one for one in w["b"]), *w["c"]]
    for i, (blob, array, one) in enumerate(zip(net.params, held, right, strict=True)):
        compare(f"{called} → data of net.params[{i}]", blob.data, one, [
            Mistake("nothing_copied", 0 * one, "the blob is as it was: write into blob.data[...]"),
            *[Mistake("by_position", other, "weights belong to the layer of the same name, wherever it stands")
              for other in (*w["c"], *w["a"])]])
        expect(blob.data is array, f"{called} → data of net.params[{i}]", "another array", "the same array, with new "
               "numbers", "data_replaced", "the solver or another layer may hold the array: write into it")
    expect(list(names or []) == ["a", "c"], called, names, ["a", "c"], "wrong_names_returned",
           "return the names of the layers that got weights, in the order of the net")
    wide = [w["a"][0][:1], w["a"][1]]
    turned = [w["a"][0].T, w["a"][1]]
    for bad, words, name, hint in (
            (w["a"][:1], "w alone, for w and b", "blobs_not_counted", STOPS),
            ([*w["a"], w["a"][1]], "three blobs, for w and b", "blobs_not_counted", STOPS),
            (wide, "w (1, D), for w (K, D)", "repeated_by_numpy", "numpy repeats an array of the shape (1, D) where "
             "(K, D) is asked for: compare the shapes"),
            (turned, "w (D, K), for w (K, D)", "reshaped", "the count alone is not enough: (D, K) has as many numbers "
             "as (K, D), and each stands for something else")):
        _refused(my, _net(my, D, K), {"a": bad}, words, name, hint)


STOPS = "compare the number of blobs first: zip stops at the shorter list"


def _net(my: Student, D: int, K: int) -> Any:
    return my.net.Net(my.prototxt.parse(f"""
        layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: {D} }} }} }}
        layer {{ name: "a" type: "InnerProduct" bottom: "x" top: "a" inner_product_param {{ num_output: {K} }} }}
        layer {{ name: "b" type: "InnerProduct" bottom: "x" top: "b" inner_product_param {{ num_output: {K} }} }}
        layer {{ name: "c" type: "InnerProduct" bottom: "x" top: "c" inner_product_param {{ num_output: {K} }} }}"""))


def _refused(my: Student, net: Any, weights: Any, words: str, name: str, hint: str) -> None:
    called, wrong, message = f"load(net, weights), layer a has {words}", "", ""
    try:
        my.caffemodel.load(net, weights)
        wrong = "no error"
    except ValueError as error:
        message = str(error)
    except (IndexError, KeyError) as error:
        wrong = f"{type(error).__name__}: {error}"
    expect(not wrong, called, wrong, "ValueError", name, hint)
    expect("could not broadcast" not in message and "cannot reshape" not in message, called, message, "ValueError that "
           "names the layer a", "error_of_numpy", "compare before you write, and say in which layer it does not fit")


def check_model_of_caffe(my: Student, draw: Draw) -> None:
    """A file that Caffe itself wrote: conv, ReLU, scale, inner product, softmax."""
    data = NetParameter.FromString(TINY.read_bytes())
    found = my.caffemodel.read(str(TINY))
    for layer in data.layer:
        for i, blob in enumerate(layer.blobs):
            compare(f"read of a file of Caffe's → blob {i} of {layer.name}", found[layer.name][i],
                    np.array(blob.data).reshape(blob.shape.dim))
    _beside_minicaffe(my, draw, "the model that Caffe wrote", TINY_TEXT, TINY)


def check_lenet(my: Student, draw: Draw) -> None:
    """A LeNet with random weights, whose file minicaffe wrote."""
    with tempfile.TemporaryDirectory() as folder:
        net = _own(LENET_TEXT, "")
        path = Path(folder) / "lenet.caffemodel"
        path.write_bytes(net.to_proto().SerializeToString())
        _beside_minicaffe(my, draw, "LeNet", LENET_TEXT, path)


def check_squeezenet(my: Student, draw: Draw) -> None:
    """SqueezeNet on images of noise, or where there is no clone of minicaffe Caffe's own file once more."""
    file = SQUEEZENET / "squeezenet.caffemodel"
    if not file.is_file():  # what pip installs is without these 5 MB
        return _beside_minicaffe(my, draw, "the model that Caffe wrote", TINY_TEXT, TINY)
    words = (SQUEEZENET / "deploy.prototxt").read_text(encoding="utf-8")
    sized = words.replace("dim: 10 dim: 3 dim: 227 dim: 227", "dim: 2 dim: 3 dim: 43 dim: 35")
    assert sized != words, "the net has another size"
    return _beside_minicaffe(my, draw, "SqueezeNet", sized, file)


def _own(words: str, path: Path | str) -> Net:
    """Return minicaffe's own net in float64."""
    use_engine("numpy")
    return Net(text.parse(words, NetParameter()), TEST, weights=str(path), dtype=np.float64)


def _beside_minicaffe(my: Student, draw: Draw, name: str, words: str, path: Path) -> None:
    """Fail where the student's net gives other numbers than minicaffe's."""
    own, called = _own(words, path), f"trained(text, path) of {name}"
    mine = my.caffemodel.trained(words, str(path))
    x = next(iter(own.blobs))
    values = draw.rng.normal(0, 40 if name == "SqueezeNet" else 1, own.blobs[x].shape)
    own.blobs[x].data[...] = values
    own.forward()
    expect(mine is not None, called, "None", "a Net", "net_not_returned", "return the net")
    expect(list(mine.blobs[x].shape) == list(values.shape), f"{called} → shape of the blob {x}", mine.blobs[x].shape,
           values.shape, "wrong_shape", "the shape is that of the Input layer: is step 11 passed?")
    mine.blobs[x].data[...] = values
    mine.forward()
    expect(any(blob.data.any() for blob in mine.params), f"{called} → its weights", "all of them are 0",
           "the weights of the file", "weights_not_loaded", "make the net, and then load the weights into it")
    expect(own.outputs[0] in mine.blobs, f"{called} → names of its blobs", list(mine.blobs), f"{own.outputs[0]} too",
           "blobs_missing", "all layers of the text belong to the net")
    for blob in own.blobs:  # from the first to the last, so that the first wrong layer is named
        if blob in mine.blobs:
            got, right = np.array(mine.blobs[blob].data), np.array(own.blobs[blob].data)
            compare(f"{called}, forward → {blob}, beside minicaffe's", got, right, tolerance=1e-5)
