"""Record a solver's updates for a trace: the lines that run, and what happens to each number of each parameter."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicaffe.log import number
from minicaffe.solvers import Solver
from minicaffe.solvers.fields import parts
from minicaffe.solvers.rule import Rule
from minicaffe.trace import formulas
from minicaffe.trace.code import PACKAGE
from minicaffe.trace.formulas import Formulas
from minicaffe.trace.recorder import Recorder
from minicaffe.trace.tracer import Step, Tracer

ROOTS = {"rule", "take_step", "add_l1_decay"}  # the functions of an update that are followed


class Updates:
    """Records the updates of a solver, while a Recorder records the passes of its net."""

    def __init__(self, solver: Solver, recorder: Recorder) -> None:
        self.solver, self.recorder = solver, recorder
        self.lines = Formulas(formulas.of_solver(solver))
        self.params = solver.net.learnable_params
        self._files = [inspect.getfile(type(solver)), str(PACKAGE / "kernels" / "definitions" / "update.py")]
        self._before: list[tuple[np.ndarray, np.ndarray, list[np.ndarray]]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record the updates that the solver makes in the block."""
        plain_update = self.solver.apply_update

        def apply_update() -> None:
            self._remember()
            steps = self._traced(plain_update)
            self._add(steps)
            self.recorder.iteration += 1

        self.solver.apply_update = apply_update  # type: ignore[method-assign]
        try:
            yield
        finally:
            del self.solver.apply_update

    def _remember(self) -> None:
        """Keep what each parameter holds before the update."""
        self._before = [(param.blob.data.copy(), param.blob.diff.copy(), [h.copy() for h in self._history(i)])
                        for i, param in enumerate(self.params)]

    def _history(self, i: int) -> list[np.ndarray]:
        return self.solver.history[i::len(self.params)]

    def _traced(self, run: Any) -> list[list[Step]]:
        """Run the update, and return the steps of each parameter; they begin where its rule is asked for."""
        steps: list[list[Step]] = []
        plain_rule = self.solver.rule
        tracer = Tracer(self._files, ROOTS)

        def rule(rate: float) -> Rule:
            steps.append([])
            tracer.steps = tracer.sink = steps[-1]
            return plain_rule(rate)

        self.solver.rule = rule  # type: ignore[method-assign]
        try:
            with tracer.watching():
                run()
        finally:
            del self.solver.rule
        return steps

    def _add(self, steps: list[list[Step]]) -> None:
        """Add a moment for each parameter."""
        for i, param in enumerate(self.params):
            layer, number_of_blob = self._place(param.blob)
            moment = self.recorder.add_moment(steps[i] if i < len(steps) else [], self.lines, "update", layer)
            moment["param"] = number_of_blob
            moment["update"] = self._columns(i)
            if note := self._note(i):
                moment["note"] = note

    def _place(self, blob: Any) -> tuple[int, int]:
        """Return the layer that owns a learnable blob, and the blob's number on the page."""
        for i, layer in enumerate(self.solver.net.layers):
            for j, mine in enumerate(layer.blobs):
                if mine is blob:
                    return i, self.recorder.number_of(i, "param", j)
        raise AssertionError("a learnable parameter belongs to no layer")

    def _columns(self, i: int) -> dict[str, Any]:
        solver, param, arrays = self.solver, self.params[i], self.recorder.arrays
        p, (w, dw, history) = solver.param, self._before[i]
        decay = p.weight_decay * param.decay_mult
        added = None
        if decay:
            added = arrays.add(np.float32(decay) * (np.sign(w) if p.regularization_type == "L1" else w))
        return {"rate": repr(solver.rate * param.lr_mult),
                "rate_of": f"the rate {number(solver.rate)} of lr_policy {p.lr_policy} · lr_mult "
                           f"{number(param.lr_mult)}",
                "w": arrays.add(w), "dw": arrays.add(dw), "decay": added,
                "history": [[name, arrays.add(before), arrays.add(after)] for name, before, after in
                            zip(type(solver).histories, history, self._history(i), strict=True)],
                "step": arrays.add(param.blob.diff), "new": arrays.add(param.blob.data)}

    def _note(self, i: int) -> str:
        """Return, as sentences for the page, what happens to the gradient before the rule sees it."""
        p, notes = self.solver.param, []
        if p.clip_gradients >= 0:
            norm = sum(float(np.square(dw, dtype=np.float64).sum()) for _, dw, _ in self._before) ** 0.5 \
                * (parts(p) / self.solver.divisor)
            notes.append(f"The common norm of all gradients is {number(norm)}. "
                         + (f"It is above clip_gradients, so all were multiplied by {number(p.clip_gradients / norm)}."
                            if norm > p.clip_gradients else "It is not above clip_gradients, so none was changed."))
        if self.solver.divisor != 1:
            notes.append(f"The gradients of {parts(p)} passes were summed, and are divided by "
                         f"{number(self.solver.divisor)}.")
        if self.params[i].lr_mult == 0:
            notes.append("lr_mult is 0: this parameter does not learn.")
        return " ".join(notes)
