"""One image through a net, beside OpenCV, ONNX Runtime and OpenVINO: the same weights, the same input."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from contest import OURS, Contest
from limits import pass_operations
from onnx_twin import OnnxError, onnx_bytes
from problem import Problem, draws, without, write_problem
from timed_nets import NETS
from training import vectors

from minicaffe import kernels, passes, rng
from minicaffe.errors import MinicaffeError
from minicaffe.io import prototxt
from minicaffe.io.binary import write_weights
from minicaffe.net import Net
from minicaffe.proto import TEST, NetParameter
from minicaffe.proto import text as proto_text

RIVALS = {"OpenCV": "opencv", "ONNX Runtime": "onnx_runtime", "OpenVINO": "openvino"}


def run(args, report):
    """One image: the four nets with random weights, or real models."""
    contest = Contest("image", RIVALS, report, args, "max |Δ|", seconds=0.3)
    if args.models:
        for weights in sorted(Path(args.models).glob("*/*.caffemodel")):
            if (reference := Path(f"{weights}.reference.npz")).exists():
                try:
                    _row(contest, weights.name.split(".caffemodel")[0], *_model(weights, reference), args)
                except MinicaffeError as error:
                    print(f"{weights.name}: {str(error).strip().splitlines()[0][:100]}")
    else:
        for name in args.nets:
            rng.seed(1)
            definition = deploy(NETS[name][0](1).net)
            net = Net(definition, TEST)
            _row(contest, name, definition, net, draws(net), args)
    contest.close()


def deploy(definition):
    """The net without losses, the label, and what leads to the losses of GoogLeNet's auxiliary classifiers."""
    made = without(definition, ["SoftmaxWithLoss"])
    kept = [layer for layer in made.layer if "aux_" not in layer.name]
    del made.layer[:]
    made.layer.extend(kept)
    del made.layer[0].top[1:], made.layer[0].input_param.shape[1:]
    return made


def _row(contest, name, definition, net, inputs, args):
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), definition, net, inputs)
        orders = [(OURS, "one_image:ours", folder, {"engine": args.engine})]
        orders += [(rival, f"one_image:{maker}", folder, {}) for rival, maker in RIVALS.items()]
        contest.row(name, orders, pass_operations(definition), lambda made: _difference(folder, made))


def _write(folder, definition, net, inputs):
    """Write the net in all forms that the sides read."""
    write_problem(folder, definition, net, inputs)
    arrays = {name: [blob.data for blob in blobs] for name, blobs in net.params.items()}
    write_weights(folder / "net.caffemodel", definition, arrays)
    text = proto_text.format_as_caffe(definition).replace('"DepthwiseConvolution"', '"Convolution"')
    (folder / "net.prototxt").write_text(text)
    try:
        (folder / "net.onnx").write_bytes(onnx_bytes(net))
    except OnnxError as error:
        (folder / "why_no_onnx").write_text(str(error))


def _difference(folder, made):
    """The largest difference of any output from ours; NaN where one has another size, as boxes that were found may."""
    outputs = [np.load(Path(folder, f"{side.name}.npy")) for side in made if side.facts.get("outputs")]
    return max((float(np.abs(other - outputs[0]).max()) if other.size == outputs[0].size else np.nan
                for other in outputs[1:]), default=None)


def _side(folder, name, run_once, **facts):
    """What a maker returns; `run_once` returns all outputs, in the order of their names' blobs."""
    np.save(folder / f"{name}.npy", np.concatenate([np.ravel(y) for y in run_once()]))
    return run_once, {"outputs": True, **facts}


def ours(folder, engine="auto"):
    """The side of minicaffe."""
    kernels.use_engine(engine)
    problem = Problem(folder)
    net = problem.fill(Net(problem.definition, TEST))
    fed = [(net.blobs[name], values) for name, values in problem.inputs.items()]

    def run_once():
        for blob, values in fed:
            blob.data[...] = values
        net.forward()
        return [net.blobs[name].data for name in net.outputs]

    return _side(folder, OURS, run_once, vectors=vectors())


def opencv(folder):
    """The side of OpenCV: version 4 reads Caffe's files, version 5 reads ONNX."""
    import cv2

    cv2.setNumThreads(int(os.environ["OMP_NUM_THREADS"]))
    problem = Problem(folder)
    if int(cv2.__version__.split(".")[0]) < 5:
        net = cv2.dnn.readNetFromCaffe(str(folder / "net.prototxt"), str(folder / "net.caffemodel"))
        names = Net(problem.definition, TEST, shapes_only=True).outputs
    else:
        net = cv2.dnn.readNetFromONNX(_onnx(folder))
        names = [f"output/{name}" for name in Net(problem.definition, TEST, shapes_only=True).outputs]

    def run_once():
        for name, values in problem.inputs.items():
            net.setInput(values, name)
        return net.forward(names)

    wide = cv2.checkHardwareSupport(256)  # CV_CPU_AVX512_SKX, for which Python has no name
    return _side(folder, "OpenCV", run_once, vectors="AVX-512" if wide else "AVX2")


def onnx_runtime(folder):
    """The side of ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    session = onnxruntime.InferenceSession(_onnx(folder), options, providers=["CPUExecutionProvider"])
    inputs = Problem(folder).inputs
    return _side(folder, "ONNX Runtime", lambda: session.run(None, inputs))


def openvino(folder):
    """The side of OpenVINO."""
    import openvino

    core = openvino.Core()
    options = {"INFERENCE_NUM_THREADS": int(os.environ["OMP_NUM_THREADS"]), "PERFORMANCE_HINT": "LATENCY",
               "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(core.read_model(_onnx(folder)), "CPU", options).create_infer_request()
    inputs = Problem(folder).inputs

    def run_once():
        return list(request.infer(inputs, share_inputs=True, share_outputs=True).values())

    return _side(folder, "OpenVINO", run_once)


def _onnx(folder):
    """The path of the ONNX model."""
    if (folder / "why_no_onnx").exists():
        raise SystemExit((folder / "why_no_onnx").read_text())
    return str(folder / "net.onnx")


def _model(weights, reference):
    """A real model's definition in today's form, its net, and the inputs of its reference."""
    with np.load(reference) as stored:
        inputs = {name.split("|")[1]: stored[name] for name in stored.files if name.startswith("in|")}
    given = prototxt.read(_definition_of(weights), NetParameter())
    given.state.phase = TEST
    definition = passes.apply(given, "separate_relu")
    for layer in definition.layer:
        if layer.type == "Input":
            del layer.input_param.shape[:]
            for top in layer.top:
                layer.input_param.shape.add(dim=inputs[top].shape)
    return definition, Net(definition, TEST, weights=str(weights)), inputs


def _definition_of(weights):
    """The prototxt beside a weight file: the one of its name, else the only one, else the deploy net."""
    found = sorted(weights.parent.glob("*.prototxt"))
    stem = weights.name.split(".caffemodel")[0]
    named = [p for p in found if p.stem == stem or stem.startswith(p.stem) or p.stem.split("_deploy")[0] in stem]
    return (named or [p for p in found if "solver" not in p.name and "train" not in p.name])[0]
