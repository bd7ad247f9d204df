"""Python: a layer that the user writes, named by its module and class."""

import importlib
from contextlib import contextmanager
from typing import Any

from minicaffe import plugins
from minicaffe.blob import Blob
from minicaffe.errors import LayerError, near_names
from minicaffe.layer import DataSource, Elementwise, Layer, LossLayer, register
from minicaffe.proto import LayerParameter, PythonParameter

GUARDED = ("setup", "reshape", "forward", "backward", "allow_force_backward", "resume_state", "resume_from")


@register("Python")
class PythonLayer(Layer):
    """Run a layer that the user wrote: a subclass of minicaffe.layer.Layer (which pycaffe.Layer is, too).

    The layer that the net holds is an instance of the user's class, made here. That class writes `setup`,
    `reshape`, `forward` and `backward`, as described in minicaffe/layer/contract.py, and finds `param_str`, `phase`,
    `name` and `blobs` on itself; `self.blobs.add_blob(*shape)` makes a learnable blob.

    Forward   what the class writes
    Backward  what the class writes

    Bottom    any
    Top       any
    Params    python_param: module (must be given; found along sys.path and in the current directory), layer (must be
              given: the class), param_str (handed to the class as it is, ""), share_in_parallel (accepted, without
              effect, false)
    Blobs     what the class adds
    In place  as the class allows
    Errors    LayerError when module or layer is missing, cannot be imported or found, or is no Layer; when the
              class raises an error or SystemExit, with its own traceback; when it puts something that is no Blob in
              the place of one
    """

    message = "python_param"
    param: PythonParameter
    bottoms = (0, None)
    tops = (0, None)
    in_place = True
    backward_reads = ("bottom", "top")
    users_code = True
    side_effects = True

    def __new__(cls, param=None, **options):
        if cls is not PythonLayer:
            return super().__new__(cls)
        param = param or LayerParameter(name=cls.type, python_param=options.get("python_param"))
        user = _user_class(param)
        with _users_code(param.name, f"making the class {user.__name__} raised "):
            return super().__new__(_joined(user))

    def __init__(self, param=None, **options):
        super().__init__(param, **options)
        self.param_str = self.param.param_str


def _joined(user):
    """Return the class of the layer that the net holds, a subclass of the user's class and of PythonLayer.

    The user's class stands first: what it declares counts, and PythonLayer declares the rest.
    """

    def init(self, param=None, **options):
        name = param.name if param else PythonLayer.type
        with _users_code(name, f"{user.__name__}.__init__ raised "):
            super(made, self).__init__(param, **options)
        if getattr(self, "layer_param", None) is None:
            raise LayerError(f"layer {name!r} (Python): {user.__name__}.__init__ does not call super().__init__(...)",
                             hint="do in `setup` what the layer needs to do once; then no __init__ is needed")

    own = {"type": PythonLayer.type, "message": PythonLayer.message, "__module__": user.__module__,
           "__doc__": user.__doc__, "__init__": init}
    own |= {name: _guarded(getattr(user, name), name) for name in GUARDED}
    made: Any = type(user.__name__, (user, PythonLayer), own)
    return made


def _guarded(method, method_name):
    """Return a user's method, changed so that its errors name the layer and show the user's own traceback."""

    def run(self, *given):
        # copies of the lists of bottoms and tops: user's code may change the lists themselves
        lists = [(blobs, list(blobs)) for blobs in given if isinstance(blobs, list)]
        named = f"{type(self).__name__}.{method_name}"
        with _users_code(self.name, f"{named} raised "):
            result = method(self, *given)
        _check_blobs(self, lists, named)
        return result

    return run


@contextmanager
def _users_code(layer_name, what):
    """Turn what the user's code raises into a LayerError, SystemExit too. Ctrl-C still ends the program."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, LayerError) and error.message.startswith(f"layer {layer_name!r} "):
            raise  # the layer's own self.fail or self.check
        raise _layer_error(layer_name, what, error) from error


def _check_blobs(layer, lists, named):
    """Raise a LayerError where the user's code has replaced a blob by something else.

    The net would fail on it later, in a place that says nothing about the mistake.
    """
    for kept, before in lists:
        if len(kept) != len(before) or any(now is not then for now, then in zip(kept, before, strict=True)):
            now = [type(value).__name__ for value in kept]
            kept[:] = before
            layer.fail(f"{named} has put other objects in the place of the blobs it was given: "
                       f"{', '.join(now) or 'none'}",
                       hint="write into them: top[0].reshape(*shape) in reshape, top[0].data[...] = y in forward")
    if not isinstance(layer.blobs, (list, tuple)) or not all(isinstance(blob, Blob) for blob in layer.blobs):
        layer.fail(f"after {named}, self.blobs is no list of Blobs: {layer.blobs!r:.100}",
                   hint="self.blobs.add_blob(*shape) adds one; a layer without learnable blobs leaves it alone")
    for blob in (*(blob for _, before in lists for blob in before), *layer.blobs):
        if isinstance(blob, Blob) and not (isinstance(blob.shape, tuple)
                                           and all(isinstance(n, int) and n >= 0 for n in blob.shape)):
            layer.fail(f"after {named}, a blob's shape is no tuple of sizes: {blob.shape!r:.100}",
                       hint="blob.reshape(*shape) gives it another shape")


BASES = (Layer, DataSource, Elementwise, LossLayer, PythonLayer)


def _user_class(param):
    """Return the class that a LayerParameter's python_param names."""
    p, where = param.python_param, f"layer {param.name!r} (Python): "
    for field in ("module", "layer"):
        if not getattr(p, field):
            raise LayerError(f"{where}python_param.{field} must be set", hint="module names a Python file without .py, "
                             "layer a class in it")
    module = _import(p.module, param.name)
    with _users_code(param.name, f"looking for {p.layer} in {p.module} raised "):
        found = getattr(module, p.layer, None)
        known = [name for name, value in vars(module).items() if _is_layer_class(value)]
    others = near_names(p.layer, known) or f"its layers are {', '.join(known) or 'none'}"
    if found is None:
        raise LayerError(f"{where}the module {p.module!r} has no class {p.layer!r}", hint=others)
    if any(found is base for base in BASES):
        raise LayerError(f"{where}{p.module}.{p.layer} is a base class for layers, not a layer", hint=others)
    if not _is_layer_class(found):
        raise LayerError(f"{where}{p.module}.{p.layer} must be a subclass of minicaffe.layer.Layer, got {found!r}")
    for name in ("bottoms", "tops"):
        if not _is_arity(getattr(found, name)):
            raise LayerError(f"{where}{p.module}.{p.layer}.{name} must be a number of blobs, or the least and the "
                             f"greatest number (None for no greatest), got {getattr(found, name)!r:.100}")
    return found


def _is_layer_class(value):
    """Return whether a value is a class of layers, and not one of our base classes."""
    return isinstance(value, type) and issubclass(value, Layer) and value not in BASES


def _is_arity(value):
    """Return whether a value says how many blobs there may be: one number, or a pair of the least and the greatest."""
    if isinstance(value, tuple) and len(value) == 2:
        return isinstance(value[0], int) and (value[1] is None or isinstance(value[1], int))
    return isinstance(value, int)


def _import(name, layer_name):
    """Return the user's module of this name; raise a LayerError where there is none, or where importing it fails."""
    if name.endswith(".py") or not all(name.split(".")) or set(name) & set("/\\\0"):
        raise LayerError(f"layer {layer_name!r} (Python): python_param.module {name!r} is no module's name",
                         hint="write 'my_layers' for a file my_layers.py in the current directory or along PYTHONPATH, "
                              "'package.my_layers' for one in a package")
    try:
        with plugins.importable_here():
            return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # the module itself may be missing, or one that it imports; only the first is a mistake in the prototxt
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{name}.".startswith(f"{missing}."):
            raise LayerError(f"layer {layer_name!r} (Python): there is no module {name!r}",
                             hint="it must lie in the current directory or along PYTHONPATH") from None
        hint = "write 'from minicaffe import pycaffe as caffe'" if missing == "caffe" else ""
        raise _layer_error(layer_name, f"importing {name} raised ", error, hint) from error


def _layer_error(layer_name, what, error, hint=""):
    """Return the LayerError for an error in the user's code, with that code's part of the traceback."""
    # an error raised by our contract.py, with no line of the user's in it: a method that the class does not write
    if isinstance(error, NotImplementedError) and not plugins.frames_of(error):
        hint = plugins.NOT_WRITTEN
    begin = f"layer {layer_name!r} (Python): {what}"
    # An error of ours stays the one that names the layer. pycaffe raises any other one again, and then needs the name.
    raised = None if isinstance(error, LayerError) else error
    if raised and hasattr(raised, "add_note"):  # Python 3.11
        raised.add_note(f"{begin}this error")
    return LayerError(f"{begin}{plugins.with_traceback(error)}", hint=hint, raised=raised)
