"""Common layers as lines of Python."""

from minicaffe.convert.torch_out.given import Given, says
from minicaffe.convert.torch_out.names import num


@says("InnerProduct")
def inner_product(g: Given) -> None:
    """`nn.Linear`, behind `flatten` where the features have several axes."""
    p = g.param
    axis = p.axis % g.axes()
    x = g.x[0] if axis == g.axes() - 1 else f"{g.x[0]}.flatten({axis})"
    place = g.key, 0
    if p.transpose and g.owners.get(place, place) != place:  # a decoder with the weights of its encoder
        w = g.parameter("_weight", 0)
        b = f", {g.parameter('_bias', 1)}" if p.bias_term else ""
        g.put(f"F.linear({x}, {w}.t(){b})")
        return
    entries = {"weight": (0, lambda a: a.T) if p.transpose else 0, **({"bias": 1} if p.bias_term else {})}
    bias = "" if p.bias_term else ", bias=False"
    g.put(f"{g.module(f'nn.Linear({g.layer.D}, {p.num_output}{bias})', entries)}({x})")


@says("Dropout")
def dropout(g: Given) -> None:
    """`nn.Dropout`, which works in the training mode alone."""
    p = g.param
    g.refuse_if(p.sample_weights_test, "has sample_weights_test: it draws random numbers in the phase TEST, too",
                "remove the field; then it works in training alone")
    y = f"{g.module(f'nn.Dropout({num(p.dropout_ratio)})', {})}({g.x[0]})"
    g.put(y if p.scale_train else f"{y} * {num(1 - p.dropout_ratio)}")  # PyTorch divides what is kept by 1 - p


@says("Embed")
def embed(g: Given) -> None:
    """`nn.Embedding`, and a sum with the bias."""
    p = g.param
    y = f"{g.module(f'nn.Embedding({p.input_dim}, {p.num_output})', {'weight': 0})}({g.x[0]}.long())"
    g.put(f"{y} + {g.parameter('_bias', 1)}" if p.bias_term else y)
