"""Names that Python allows, made from the names in a prototxt, and numbers as Python writes them."""

from __future__ import annotations

import keyword
import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from minicaffe.convert.free_name import free_name

# What the written file imports or defines, and what Python itself needs there.
OF_THE_FILE = frozenset({"torch", "nn", "F", "math", "json", "Path", "self", "super", "load", "float", "print"})

# A layer must not take the place of an attribute that nn.Module has, in any version.
OF_MODULES = frozenset([
    "T_destination", "add_module", "apply", "bfloat16", "buffers", "call_super_init", "children", "compile",
    "cpu", "cuda", "device", "double", "dtype", "dump_patches", "eval", "extra_repr", "float", "forward",
    "get_buffer", "get_extra_state", "get_parameter", "get_submodule", "half", "ipu", "load_state_dict", "loss",
    "modules", "mtia", "named_buffers", "named_children", "named_modules", "named_parameters", "parameters",
    "register_backward_hook", "register_buffer", "register_forward_hook", "register_forward_pre_hook",
    "register_full_backward_hook", "register_full_backward_pre_hook", "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook", "register_module", "register_parameter", "register_state_dict_post_hook",
    "register_state_dict_pre_hook", "requires_grad_", "scores", "set_extra_state", "set_submodule",
    "share_memory", "state_dict", "to", "to_empty", "train", "training", "type", "xpu", "zero_grad"
])


def legal(name: str, what: str) -> str:
    """Return a name that Python allows. `what` begins names that cannot stand alone, such as 1x1 or lambda."""
    text = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", name)).strip("_")
    if not text.isidentifier() or keyword.iskeyword(text) or keyword.issoftkeyword(text):
        text = f"{what}_{text}" if text else what
    return text if text.isidentifier() else what


def class_name(net: str, taken: Collection[str]) -> str:
    """Return the name of the class for a net: "ResNet-50" becomes ResNet50."""
    parts = [part for part in re.split(r"[\W_]+", unicodedata.normalize("NFKC", net)) if part]
    text = legal("".join(part[0].upper() + part[1:] for part in parts), "Net")
    return free_name(text, taken)


def num(value: float) -> str:
    """Return a number as Python writes it, a float with the few digits that a prototxt has."""
    if isinstance(value, (bool, int, np.integer)):
        return repr(int(value))
    if not math.isfinite(value):
        return f'float("{value}")'
    return repr(decimal(value))


def decimal(value: float) -> float:
    """Return the number with the fewest digits that is this one in float32: 0.1 for 0.10000000149."""
    short = float(str(np.float32(value)))
    return short if float(np.float32(value)) == value else value


def pair(sizes: Iterable[int]) -> str:
    """Return a size for each axis as Python code: one number where all are equal."""
    sizes = [int(size) for size in sizes]
    return num(sizes[0]) if len(set(sizes)) == 1 else listed(sizes)


def listed(sizes: Iterable[int | str]) -> str:
    """Return a tuple as Python code."""
    texts = [str(size) for size in sizes]
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


def zeros(shape: Sequence[int]) -> str:
    """Return a call that makes a tensor of zeros: numbers from the file take their place."""
    return f"torch.zeros({', '.join(map(str, shape)) or '()'})"
