"""Compare the derivative in softsign.py with finite differences, for each way to name the layer in a prototxt."""

import numpy as np
import softsign  # noqa: F401 - registers the type "Softsign"

from minicaffe import Blob
from minicaffe.layer import create
from minicaffe.proto import LayerParameter
from minicaffe.testing import check_layer

WAYS = {"Softsign": LayerParameter(name="sign", type="Softsign"),
        "Python": LayerParameter(name="sign", type="Python",
                                 python_param={"module": "softsign", "layer": "SoftsignLayer"})}


def largest_error(way):
    """Return the largest relative error of the gradient, for a layer that a prototxt names in this way."""
    x = Blob((2, 7, 5), np.float64)
    x.data[...] = np.random.default_rng(1).standard_normal(x.shape)
    return check_layer(create(WAYS[way], dtype=np.float64), [x])


if __name__ == "__main__":
    for way in WAYS:
        print(f'type: "{way}": largest relative error of the gradient: {largest_error(way):.1e}')
