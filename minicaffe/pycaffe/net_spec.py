"""Write nets in Python, as pycaffe does: `n.conv1 = L.Convolution(n.data, num_output=20, kernel_size=5)`.

`L.Convolution(...)` makes a Function: a layer's type, its inputs and its fields. It returns the Function's Top, or a
tuple of `ntop` Tops, or the Function itself where `ntop` is 0. Messages are made by `to_proto` alone, so a script may
change `top.fn.params` until then.
"""

from __future__ import annotations

import reprlib
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from minicaffe import proto
from minicaffe.errors import LayerError, NetError, near_names
from minicaffe.proto.describe import RANGES, type_name
from minicaffe.proto.forks import fork_hint


class FieldError(LayerError, AttributeError):
    """A message has no such field, or Caffe no such message. It is an AttributeError because pycaffe raises that."""


class FieldValueError(LayerError, TypeError, ValueError):
    """A field cannot take a value. pycaffe raises TypeError or ValueError here, as protobuf does."""


class TopError(NetError, AttributeError, KeyError):
    """A NetSpec has no top of that name. pycaffe raises KeyError, and `hasattr` looks for AttributeError."""


class NotATopError(NetError, TypeError):
    """Something else stands where a Top belongs."""


# --- nets -----------------------------------------------------------------------------------------------------

class Top:
    """One output of a layer: the number `n` of those of the Function `fn`."""

    def __init__(self, fn: Function, n: int) -> None:
        self.fn, self.n = fn, n

    def to_proto(self) -> Any:
        """Return the NetParameter of the layers that compute this top."""
        return to_proto(self)


class Function:
    """A layer: its type, the Tops that it reads, and its fields.

    tops        what it puts out
    in_place    whether its tops are its bottoms
    place       the line of the script that made it, for errors
    """

    def __init__(self, type_name: str, inputs: Sequence[Top], params: dict[str, Any], place: str = "") -> None:
        self.type_name, self.inputs, self.params, self.place = type_name, inputs, params, place
        for i, top in enumerate(inputs):
            if not isinstance(top, Top):  # a plain TypeError with pycaffe's words: scripts compare them
                raise TypeError(f"{type_name} input {i} is not a Top (type is {type(top)})")
        self.ntop = params.pop("ntop", 1)
        self.in_place = params.pop("in_place", False)
        self.tops = tuple(Top(self, n) for n in range(self.ntop))


class NetSpec:
    """A net whose tops are this object's attributes: an attribute's name is that of the blob, and of the layer.

    `n['name']` is the same as `n.name`, for names that are no words of Python. `n.tops` has them all.
    """

    tops: OrderedDict[str, Any]

    def __init__(self) -> None:
        super().__setattr__("tops", OrderedDict())

    def __setattr__(self, name: str, value: Any) -> None:
        self.tops[name] = value

    def __getattr__(self, name: str) -> Any:
        if name == "tops":  # copy asks for attributes before there are any
            raise AttributeError(name)
        if name not in self.tops:
            raise TopError(f"the NetSpec has no top {name!r}", hint=near_names(name, list(map(str, self.tops))))
        return self.tops[name]

    __setitem__ = __setattr__
    __getitem__ = __getattr__

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *map(str, self.tops)]

    def to_proto(self) -> Any:
        """Return the NetParameter of the layers that compute all tops. Tops without a name get one by their type."""
        for name, top in self.tops.items():
            if not isinstance(name, str):
                raise NotATopError(f"the name of a top must be text, got {name!r}")
            if not isinstance(top, (Top, Function)):
                raise NotATopError(f"n.{name} must be a top, got {type(top).__name__}",
                              hint=f"it has {len(top)} tops: give each a name" if isinstance(top, tuple) else "")
        return _net(self.tops.values(), {top: name for name, top in self.tops.items()})


def to_proto(*tops: Top) -> Any:
    """Return the NetParameter of the layers that compute some Tops. Layers and blobs are named by their types."""
    for top in tops:
        if not isinstance(top, (Top, Function)):
            raise NotATopError(f"to_proto takes Tops, got {type(top).__name__}",
                          hint="to_proto(*tops)" if isinstance(top, (list, tuple)) else "")
    return _net(tops, {})


def _net(tops: Iterable[Top | Function], given: dict[Any, str]) -> Any:
    """Return the NetParameter of some Tops, of which some have a name."""
    names, layers = _Names(given), dict[Function, Any]()
    for function in _inputs_first(map(_maker, tops)):
        bottoms = [layers[top.fn].top[top.n] for top in function.inputs]
        layers[function] = _layer(function, bottoms, names)
    return proto.NetParameter(layer=layers.values())


def _maker(top: Top | Function) -> Function:
    return top.fn if isinstance(top, Top) else top


def _inputs_first(functions: Iterable[Function]) -> Iterator[Function]:
    """Yield functions and all those that they read, each once and after its inputs.

    It keeps a list of those that wait, because a deep net would exceed Python's recursion limit.
    """
    done: set[Function] = set()
    for function in functions:
        waiting = [function]
        while waiting:
            missing = next((top.fn for top in waiting[-1].inputs if top.fn not in done), None)
            if missing is not None:
                waiting.append(missing)
                continue
            ready = waiting.pop()
            if ready not in done:
                done.add(ready)
                yield ready


class _Names(dict[Any, str]):
    """The names of Tops and of Functions. What has none gets its type and a number, counted from 1 for each type."""

    def __init__(self, given: dict[Any, str]) -> None:
        super().__init__(given)
        self.numbers: Counter[str] = Counter()

    def __missing__(self, thing: Top | Function) -> str:
        if isinstance(thing, Function) and thing.tops:
            self[thing] = self[thing.tops[0]]
        else:
            kind = _maker(thing).type_name
            self.numbers[kind] += 1
            self[thing] = f"{kind}{self.numbers[kind]}"
        return self[thing]


def _layer(function: Function, bottoms: list[str], names: _Names) -> Any:
    """Return the LayerParameter of a Function."""
    tops = bottoms if function.in_place else [names[top] for top in function.tops]
    layer = proto.LayerParameter(name=names[function], type=function.type_name, bottom=bottoms, top=tops)
    name, kind = layer.name, function.type_name
    own = f"{_param_names.get(kind, '')}_param"
    own_fields = getattr(layer, own).DESCRIPTOR.fields_by_name if own in layer.DESCRIPTOR.fields_by_name else {}
    for key, value in function.params.items():
        try:
            # Caffe: transform_param and other names of this kind are of the layer, where it has them
            of_layer = key in layer.DESCRIPTOR.fields_by_name
            if key in own_fields and not (of_layer and key.endswith("param")):
                assign_proto(getattr(layer, own), key, value)
            elif of_layer:
                assign_proto(layer, key, value)
            else:
                raise FieldError(f"there is no field {key!r}", hint=_field_hint(kind, key, own_fields))
        except (FieldError, FieldValueError) as error:
            raise type(error)(f"layer {name!r} ({kind}): {error.message}", where=function.place,
                              hint=error.hint) from None
    return layer


def _field_hint(kind: str, key: str, own_fields: Iterable[str]) -> str:
    """Return what may have been meant by a field that a layer of this type does not have."""
    from minicaffe.layer import layer_class, registered_types  # only here: without an error, they are not needed

    fields: Any = proto.LayerParameter.DESCRIPTOR.fields_by_name
    if kind in registered_types():
        cls = layer_class(kind)
        for message in filter(None, (cls.message, *cls.also_reads)):
            if key in fields[message].message_type.fields_by_name:
                return f"it belongs to {message}: {message}=dict({key}=...)"
    return fork_hint(key) or near_names(key, [*own_fields, *fields])


# --- fields ---------------------------------------------------------------------------------------------------

def param_name_dict() -> dict[str, str]:
    """Return the field of each parameter message, without its ending, such as {'InnerProduct': 'inner_product'}.

    A key is the message's name without 'Parameter'. For a layer type that has a message of its own, this is the type.
    """
    every: Iterable[Any] = proto.LayerParameter.DESCRIPTOR.fields
    fields = (field for field in every if field.name.endswith("_param") and field.message_type)
    return {field.message_type.name.removesuffix("Parameter"): field.name.removesuffix("_param") for field in fields}


# Scripts add types to it: _param_names["Deconvolution"] = "convolution".
_param_names = param_name_dict()


def assign_proto(message: Any, name: str, value: Any) -> None:
    """Set a field of a message. A dict stands for a message, a list for a repeated field.

    A repeated field takes a single value too, and lists are added to what the field has.
    Raise FieldError or FieldValueError.
    """
    field = message.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        fields = list(message.DESCRIPTOR.fields_by_name)
        raise FieldError(f"{message.DESCRIPTOR.name} has no field {name!r}",
                         hint=fork_hint(name) or near_names(name, fields))
    if proto.is_repeated(field):
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and field.message_type:
                _fill(getattr(message, name).add(), one)
            else:
                _set(field, getattr(message, name).append, one)
    elif isinstance(value, dict) and field.message_type:
        _fill(getattr(message, name), value)
    else:
        _set(field, lambda one: setattr(message, name, one), value)


def _fill(message: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        assign_proto(message, name, value)


def _set(field: Any, put: Callable[[Any], None], value: Any) -> None:
    """Put a value into a field that is no dict and no list; an enum's value may be given by its name."""
    if field.enum_type and isinstance(value, str) and value in field.enum_type.values_by_name:
        value = field.enum_type.values_by_name[value].number
    try:
        put(value)
    except (TypeError, ValueError, AttributeError):  # protobuf's words name no field
        message = f"{field.containing_type.name}.{field.name} takes {_what(field)}, got {reprlib.repr(value)}"
        raise FieldValueError(message, hint=_value_hint(field, value)) from None


def _what(field: Any) -> str:
    """Return in words which values a field takes."""
    if field.message_type:
        return f"a dict with fields of {field.message_type.name}"
    if field.enum_type:
        return f"one of {', '.join(field.enum_type.values_by_name)}"
    kind = type_name(field)
    if kind in RANGES:
        return "a whole number from {} to {}".format(*RANGES[kind])
    return {"string": "text", "bytes": "bytes", "bool": "True or False"}.get(kind, "a number")


def _value_hint(field: Any, value: Any) -> str:
    """Return what may have been meant by a value that a field does not take."""
    if value is None:
        return "leave the field out"
    if field.enum_type and isinstance(value, str):
        return near_names(value, list(field.enum_type.values_by_name))
    if type_name(field) in RANGES and isinstance(value, float) and value.is_integer():
        return f"write {int(value)} without a decimal point; where it comes from a division, write // instead of /"
    if proto.is_repeated(field) and isinstance(value, tuple):
        return f"write a list: {list(value)}"
    if proto.is_repeated(field) and hasattr(value, "tolist"):
        return "write a list: .tolist() makes one of an array"
    return "the field takes a single value" if isinstance(value, list) else ""


# --- L and P --------------------------------------------------------------------------------------------------

class Layers:
    """Makes layers of any type, also of types that minicaffe does not have: `L.Convolution(bottom, kernel_size=3)`."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):  # what copy, inspect and notebooks ask for
            raise AttributeError(name)

        def layer(*inputs: Top, **params: Any) -> Any:
            function = Function(name, inputs, params, _place(sys._getframe(1)))
            if function.ntop == 0:
                return function
            return function.tops[0] if function.ntop == 1 else function.tops

        return layer

    def __dir__(self) -> list[str]:
        from minicaffe.layer import registered_types  # only here: it loads all layers

        return registered_types()


def _place(frame: Any) -> str:
    """Return the line that a frame runs, 'nets.py:12'."""
    file = frame.f_code.co_filename
    return f"{'cell' if file.startswith('<') or 'ipykernel' in file else file}:{frame.f_lineno}"


class Parameters:
    """Finds the values of enums: `P.Pooling.MAX`. P.Pooling is the class of the message PoolingParameter."""

    def __getattr__(self, name: str) -> Any:
        if name not in dir(self):
            hint = "" if name.startswith("_") else near_names(name, dir(self))
            raise FieldError(f"Caffe has no message {name}Parameter", hint=hint)
        return proto.message_class(f"{name}Parameter")

    def __dir__(self) -> list[str]:
        names = proto.DESCRIPTOR.message_types_by_name
        return [name.removesuffix("Parameter") for name in names if name.endswith("Parameter")]


layers = Layers()
params = Parameters()
