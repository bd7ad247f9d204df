"""Small nets for the tests of what layers become in ONNX."""


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


def in_place(kind, fields=""):
    """A layer that runs in place on what another one makes of x."""
    return net("layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'r' relu_param { negative_slope: 0.5 } }",
               layer(kind, fields, ["r"], ["r"]))


def many(field, values):
    """A repeated field."""
    return " ".join(f"{field}: {value}" for value in values)
