"""Recurrent layers as lines of Python. Each becomes a loop over time, because sequences may begin at any step."""

from __future__ import annotations

from minicaffe.convert.torch_out.given import Given, says
from minicaffe.convert.torch_out.names import num


@says("LSTM")
def lstm(g: Given) -> None:
    """`caffe_lstm`, a loop over time. Without expose_hidden, the states before the first step are 0 in each call."""
    _unrolled(g, "caffe_lstm", [])


@says("RNN")
def rnn(g: Given) -> None:
    """`caffe_rnn`, a loop over time. Without expose_hidden, the state before the first step is 0 in each call."""
    k = len(g.layer.blobs)
    _unrolled(g, "caffe_rnn", [g.parameter("_w_o", k - 2), g.parameter("_b_o", k - 1)])


def _unrolled(g: Given, function: str, more: list[str]) -> None:
    """Write a recurrent layer of BVLC's."""
    layer, exposed = g.layer, g.layer.exposed
    w_h = 3 if layer.has_static else 2
    weights = [g.parameter("_w_x", 0), g.parameter("_b", 1), g.parameter("_w_h", w_h), *more]
    options = []
    if layer.has_static:
        options.append(f"static=F.linear({g.x[2]}.flatten(1), {g.parameter('_w_s', 2)})")
    if exposed:
        # Caffe: no gradient enters or leaves a batch through the states
        options.append(f"first=({', '.join(f'{x}[0].detach()' for x in g.x[-exposed:])},)")
    call = f"{g.helper(function)}({', '.join([*g.x[:2], *weights, *options])})"
    if not exposed:
        g.put(f"{call}[0]")
        return
    last = g.temporary(f"{g.y[0]}_last")
    g.line(f"{g.y[0]}, {last} = {call}")
    for t in range(1, len(g.y)):
        g.put(f"{last}[{t - 1}][None].detach()", t)


@says("Lstm")
def lstm_of_forks(g: Given) -> None:
    """`caffe_lstm`, a loop over time."""
    layer, x = g.layer, g.x[0]
    g.refuse_if(layer.param.clipping_threshold and g.twin is not None,
                "has a clipping_threshold, which changes gradients", "remove it")
    steps = num(layer.cont.shape[1])
    if layer.by_rows:
        x = f"{x}.flatten(1).unflatten(0, (-1, {steps}))" if g.axes() > 1 else f"{x}.reshape(-1, {steps}, 1)"
    cont = f"{g.x[1]}.reshape(-1, {steps})" if len(g.x) == 2 else "None"
    weights = [g.parameter("_w_x", 0), g.parameter("_b", 2), g.parameter("_w_h", 1)]
    y = f"{g.helper('caffe_lstm')}({', '.join([x, cont, *weights])})[0]"
    g.put(f"{y}.flatten(0, 1)" if layer.by_rows else y)


@says("LSTMUnit")
def lstm_unit(g: Given) -> None:
    """`lstm_step`, a short function."""
    states = g.temporary(f"{g.y[0]}_states")
    c0, x, cont = g.x
    g.line(f"{states} = {g.helper('lstm_step')}({x}, {c0}, {cont}[..., None])")
    g.put(f"{states}[1]", 0)
    g.put(f"{states}[0]", 1)


@says("ContinuationIndicator")
def continuation_indicator(g: Given) -> None:
    """`torch.ones` with zeros in the first step."""
    p = g.param
    like = f", dtype={g.x[0]}.dtype, device={g.x[0]}.device" if g.x else ""
    size = f"{g.x[0]}.shape[{p.axis % g.axes()}]" if g.x else num(p.batch_size)
    g.line(f"{g.y[0]} = torch.ones({p.time_step}, {size}{like})")
    g.line(f"{g.y[0]}[0] = 0")
