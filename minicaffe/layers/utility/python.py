"""Python: a layer that the user writes, named by its module and class."""

import functools
import importlib
import os
import sys
import traceback
from pathlib import Path

from minicaffe.errors import LayerError, near_names
from minicaffe.layer import Layer, register
from minicaffe.proto import LayerParameter

OURS = (str(Path(__file__).parents[2]) + os.sep, "<frozen importlib")


class BlobList(list):
    """A layer's learnable blobs, with the `add_blob` that pycaffe's have."""

    def __init__(self, layer):
        super().__init__()
        self._layer = layer

    def add_blob(self, *shape):
        """Append a blob of these sizes, zeros until loaded or set."""
        self._layer.add_blob(shape)


@register("Python")
class PythonLayer(Layer):
    """Run a layer that the user wrote: a subclass of minicaffe.layer.Layer (which pycaffe.Layer is, too).

    The layer that the net holds is an instance of the user's class, made here. That class writes `setup`,
    `reshape`, `forward` and `backward`, as described in minicaffe/layer.py, and finds `param_str`, `phase`,
    `name` and `blobs` on itself; `self.blobs.add_blob(*shape)` makes a learnable blob.

    Forward   what the class writes
    Backward  what the class writes

    Bottom    any
    Top       any
    Params    python_param: module (found along sys.path and in the current directory), layer (the class),
              param_str (handed to the class as it is), share_in_parallel (accepted, without effect)
    Blobs     what the class adds
    In place  as the class allows
    Errors    LayerError when module or layer is missing, cannot be imported or found, or is no Layer; when the
              class raises an error, with its own traceback
    """

    message = "python_param"
    bottoms = (0, None)
    tops = (0, None)
    in_place = True
    backward_reads = ("bottom", "top")

    def __new__(cls, param=None, **options):
        if cls is not PythonLayer:
            return super().__new__(cls)
        user = _user_class(param or LayerParameter(name=cls.type, python_param=options.get("python_param")))
        # the user's class comes first: what it declares holds, what it leaves out is as declared above
        own = {"type": cls.type, "message": cls.message, "__module__": user.__module__, "__doc__": user.__doc__}
        own |= {name: _guarded(getattr(user, name)) for name in ("setup", "reshape", "forward", "backward")}
        return super().__new__(type(user.__name__, (user, PythonLayer), own))

    def __init__(self, param=None, **options):
        super().__init__(param, **options)
        self.param_str = self.param.param_str
        self.blobs = BlobList(self)


def _guarded(method):
    """A user's method whose errors name the layer and show the user's own traceback."""

    @functools.wraps(method)
    def run(self, *blobs):
        try:
            return method(self, *blobs)
        except Exception as error:
            if isinstance(error, LayerError) and error.message.startswith(f"layer {self.name!r} "):
                raise  # the layer's own self.fail or self.check
            raise _layer_error(self.name, f"{type(self).__name__}.{method.__name__} raised ", error) from error

    return run


def _user_class(param):
    """The class that a LayerParameter's python_param names."""
    p, where = param.python_param, f"layer {param.name!r} (Python): "
    for field in ("module", "layer"):
        if not getattr(p, field):
            raise LayerError(f"{where}python_param.{field} must be set", hint="module names a Python file without .py, "
                             "layer a class in it")
    module = _import(p.module, param.name)
    found = getattr(module, p.layer, None)
    if found is None:
        known = [name for name, value in vars(module).items() if _is_layer_class(value)]
        raise LayerError(f"{where}the module {p.module!r} has no class {p.layer!r}",
                         hint=near_names(p.layer, known) or f"its layers are {', '.join(known) or 'none'}")
    if not _is_layer_class(found):
        raise LayerError(f"{where}{p.module}.{p.layer} must be a subclass of minicaffe.layer.Layer, got {found!r}")
    return found


def _is_layer_class(value):
    return isinstance(value, type) and issubclass(value, Layer) and value is not Layer


def _import(name, layer_name):
    here = os.getcwd()
    sys.path.append(here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except Exception as error:
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{name}.".startswith(f"{missing}."):
            raise LayerError(f"layer {layer_name!r} (Python): there is no module {name!r}",
                             hint="it must lie in the current directory or along PYTHONPATH") from None
        hint = "write 'from minicaffe import pycaffe as caffe'" if missing == "caffe" else ""
        raise _layer_error(layer_name, f"importing {name} raised ", error, hint) from error
    finally:
        sys.path.remove(here)


def _layer_error(layer_name, what, error, hint=""):
    """The LayerError for an error in the user's code, with that code's part of the traceback."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(OURS)]
    lines = "".join(traceback.format_list(frames)).rstrip()
    text = f"layer {layer_name!r} (Python): {what}{type(error).__name__}" + (f": {error}" if str(error) else "")
    if isinstance(error, NotImplementedError) and not frames:
        hint = "a Python layer must write reshape and forward, and backward where a gradient passes through it"
    return LayerError(f"{text}\n{lines}" if lines else text, hint=hint)
