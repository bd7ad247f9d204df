"""Make the trace of a net or of a training: run it, and return the data of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicaffe.drawing import draw
from minicaffe.net import Net
from minicaffe.proto import TEST
from minicaffe.solvers import Solver
from minicaffe.trace import formulas
from minicaffe.trace.arrays import Arrays
from minicaffe.trace.format import WHOLE
from minicaffe.trace.proof import TOLERANCE
from minicaffe.trace.recorder import Recorder, layers_of
from minicaffe.trace.update import Updates


def of_net(net: Net, *, seed: int = 1, proofs: int = WHOLE) -> dict[str, Any]:
    """Run a float32 net forward and, where it learns, backward. Return the data of the page (format.py).

    seed      decides what layers draw in the pass, and which numbers of large arrays are shown
    proofs    for how many numbers of each diff the slope is measured; 0 for none
    """
    recorder = Recorder(net, Arrays(seed), proofs)
    with recorder.watching(), net.draws.during(seed, 0, 0, 0):
        net.clear_param_diffs()
        net.forward_pass()
        if any(net.plan.layers):
            net.backward_pass()
    return _page(net, recorder, None, proofs)


def of_solver(solver: Solver, iterations: int = 1, *, seed: int = 1, proofs: int = WHOLE) -> dict[str, Any]:
    """Let a solver make updates, and return the data of the page. It should neither test nor take snapshots."""
    recorder = Recorder(solver.net, Arrays(seed), proofs)
    updates = Updates(solver, recorder)
    on_nan, solver.on_nan = solver.on_nan, "ignore"  # the page shows every number
    try:
        with recorder.watching(), updates.watching():
            solver.step(iterations)
    finally:
        solver.on_nan = on_nan
    described = {"type": type(solver).type, "formulas": updates.lines.lines, "iterations": iterations}
    return _page(solver.net, recorder, described, proofs)


def without_tests(param: Any) -> Any:
    """Return a copy of a SolverParameter that only trains: it neither tests, nor displays, nor takes snapshots."""
    quiet = type(param)()
    quiet.CopyFrom(param)
    for field in ("test_iter", "test_iter_auto", "test_interval", "test_net", "test_net_param", "test_state",
                  "test_initialization", "display", "snapshot", "debug_info", "max_epoch"):
        quiet.ClearField(field)
    quiet.snapshot_after_train = False
    return quiet


def _page(net: Net, recorder: Recorder, solver: dict[str, Any] | None, proofs: int) -> dict[str, Any]:
    return {"net": net.name, "command": "", "phase": "TEST" if net.phase == TEST else "TRAIN",
            "notes": _notes(net, recorder),
            "tolerance": TOLERANCE if proofs else "No slopes were measured for this page.", "solver": solver,
            "drawing": draw(net).svg(), "layers": layers_of(net),
            "datasheets": formulas.datasheets(net.layers), "blobs": recorder.blobs, "sources": recorder.sources,
            "places": recorder.arrays.places, "arrays": recorder.arrays.found, "steps": recorder.steps,
            "moments": recorder.moments}


def _notes(net: Net, recorder: Recorder) -> Sequence[str]:
    notes: list[str] = []
    if not any(net.plan.layers):
        notes.append("No layer runs backward: the net has no loss, or nothing in it learns.")
    notes += recorder.proofs.notes
    if single := recorder.proofs.single:
        notes.append(f"No slopes were measured, for their numbers would be hidden by rounding: {', '.join(single)} "
                     "computes in float32. minicaffe check looks at each layer of such a net alone.")
    if unknown := [layer.type for layer in net.layers if not formulas.of_layer(layer)["forward"].lines
                   and layer.layer_param.bottom]:
        notes.append(f"There are no formulas for {', '.join(dict.fromkeys(unknown))}, because its docstring has no "
                     "Forward and Backward.")
    return notes
