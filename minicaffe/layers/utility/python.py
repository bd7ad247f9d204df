"""Python: a layer that the user writes, named by its module and class."""

from typing import Any, ClassVar

from minicaffe.errors import LayerError
from minicaffe.layer import Layer, register
from minicaffe.layers.utility._users_class import user_class
from minicaffe.layers.utility._users_code import call, users_code
from minicaffe.proto import LayerParameter, PythonParameter


@register("Python")
class PythonLayer(Layer):
    """Run a layer that the user wrote: a subclass of pycaffe's `caffe.Layer`, or of minicaffe.layer.Layer.

    Either class writes `setup`, `reshape`, `forward` and `backward`, as described in minicaffe/layer/contract.py, and
    finds `param_str`, `phase`, `name` and `blobs` on itself; `self.blobs.add_blob(*shape)` makes a learnable blob.

    A subclass of `caffe.Layer` may use all other names for attributes of its own. What a program asks of the net's
    layer, such as `net.layers[0].set_roidb(roidb)`, reaches the user's object.
    A subclass of minicaffe.layer.Layer may use and declare all that a layer of minicaffe's own may.

    One Python layer is built in: rpn.proposal_layer.ProposalLayer of py-faster-rcnn, which runs where there is no file
    of that name (minicaffe/layers/detection/_py_faster_rcnn.py). It is no user's code.

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
              the place of one. pycaffe's nets and solvers raise what the class has raised, as it is
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
        user = user_class(param, PythonLayer)
        with users_code(param.name, f"making the class {user.__name__} raised "):
            return super().__new__(_joined(user) if issubclass(user, Layer) else _adapter(user))

    def __init__(self, param=None, **options):
        super().__init__(param, **options)
        self.param_str = self.param.param_str


# --- subclasses of caffe.Layer: the net's layer and the user's object have attributes of their own -----------------


def _adapter(user):
    """Return the class of the layer that the net holds, with the name and the docstring of the user's class."""
    about = {"user_class": user, "__module__": user.__module__, "__doc__": user.__doc__}
    return type(user.__name__, (_Adapter,), about)


class _Adapter(PythonLayer):
    """The net's layer for a user's object. Attributes that it does not have itself are those of the user's object."""

    user_class: ClassVar[Any]  # a subclass of ScriptLayer

    def __init__(self, param=None, **options):
        super().__init__(param, **options)
        with self._named("__init__"):
            user: Any = self.user_class.__new__(self.user_class, self.layer_param)
            user.blobs.dtype = self.dtype  # before __init__, which may make blobs
            user.__init__(self.layer_param)
        self._blobs = user.blobs
        del self.param_str  # from here on it is the user's
        self.user_layer = user

    def setup(self, bottom, top):
        user, text = self.user_layer, self.param.param_str
        with self._named("setup"):
            user.param_str, user.param_str_, user.phase = text, text, int(self.phase)
            if not hasattr(user, "name"):
                user.name = self.name
        self._call("setup", bottom, top)

    def reshape(self, bottom, top):
        self._call("reshape", bottom, top)

    def forward(self, bottom, top):
        self._call("forward", bottom, top)

    def backward(self, top, propagate_down, bottom):
        self._call("backward", top, propagate_down, bottom)

    def _call(self, method, *given):
        call(self, f"{type(self).__name__}.{method}", lambda *own: getattr(self.user_layer, method)(*own), *given)

    def _named(self, method):
        return users_code(self.name, f"{type(self).__name__}.{method} raised ")

    def __getattr__(self, name):
        # Python itself looks for names that begin so. And this may be asked before there is a user's object.
        if name.startswith("__") or "user_layer" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.user_layer, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if "user_layer" not in vars(self) or name in vars(self) or hasattr(type(self), name):
            super().__setattr__(name, value)
        else:
            setattr(self.user_layer, name, value)


# --- subclasses of minicaffe's Layer: the net's layer is an instance of the user's class ---------------------------

GUARDED = ("setup", "reshape", "forward", "backward", "allow_force_backward", "resume_state", "resume_from",
           "take_turns")


def _joined(user):
    """Return the class of the layer that the net holds, a subclass of the user's class and of PythonLayer.

    The user's class stands first: what it declares counts, and PythonLayer declares the rest.
    """

    def init(self, param=None, **options):
        name = param.name if param else PythonLayer.type
        with users_code(name, f"{user.__name__}.__init__ raised "):
            super(made, self).__init__(param, **options)
        if getattr(self, "layer_param", None) is None:
            raise LayerError(f"layer {name!r} (Python): {user.__name__}.__init__ does not call super().__init__(...)",
                             hint="do in `setup` what the layer needs to do once; then no __init__ is needed")

    own = {"type": PythonLayer.type, "message": PythonLayer.message, "__module__": user.__module__,
           "__doc__": user.__doc__, "__init__": init}
    own |= {name: _guarded(getattr(user, name), name) for name in GUARDED if hasattr(user, name)}
    made: Any = type(user.__name__, (user, PythonLayer), own)
    return made


def _guarded(method, name):
    """Return a user's method, changed so that its errors name the layer and show the user's own traceback."""

    def run(self, *given):
        return call(self, f"{type(self).__name__}.{name}", lambda *own: method(self, *own), *given)

    return run
