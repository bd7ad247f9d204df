"""Small nets for the tests of what layers become in ONNX."""

from onnx_tools import net_of

from minicaffe.convert.onnx_out.model import model_of


def net(*parts):
    """The text of a net."""
    return "\n".join(parts)


def given(name, *shape):
    """An Input of this shape."""
    return f"layer {{ name: '{name}' type: 'Input' top: '{name}' input_param {{ shape {{ {many('dim', shape)} }} }} }}"


def layer(kind, fields="", bottoms=("x",), tops=("y",)):
    """A layer with the name of its first top."""
    ends = [f"{word}: '{name}'" for word, names in (("bottom", bottoms), ("top", tops)) for name in names]
    return f"layer {{ name: '{tops[0]}' type: '{kind}' {' '.join(ends)} {fields} }}"


def grown(parts, shape, larger):
    """The model of the net of an Input x and these parts, in which the sizes are open that another shape of x changes.
    """
    return model_of(*(net_of(net(given("x", *sizes), *parts)) for sizes in (shape, larger)))


def in_place(kind, fields=""):
    """A layer that runs in place on what another one makes of x."""
    return net("layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'r' relu_param { negative_slope: 0.5 } }",
               layer(kind, fields, ["r"], ["r"]))


def many(field, values):
    """A repeated field."""
    return " ".join(f"{field}: {value}" for value in values)
