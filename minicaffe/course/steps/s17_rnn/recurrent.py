"""What the checks of layers over time share: a student's layer with weights on two batches, and minicaffe's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minicaffe.blob import Blob
from minicaffe.course import layer_checks
from minicaffe.course.checking import Draw, Mistake, compare, expect, same
from minicaffe.course.layer_checks import Run
from minicaffe.course.student import Student
from minicaffe.kernels import use_engine
from minicaffe.layer import Layer
from minicaffe.proto import LayerParameter

LEFT = 0.5  # what other passes have left in the diffs of the weights


class Kind(NamedTuple):
    """A layer over time: its formulas for one stream, and the mistakes that students make in them.

    own        minicaffe's layer
    gates      how many rows w_x has for each number of the state
    names      of its blobs, in their order
    more       the shapes of the blobs after w_x, b and w_h, for a D
    forward    (x (T, F), δ (T,), states, weights, slip) → y (T, D), and the last states
    backward   (x, δ, states, weights, dy, slip) → the diffs of x and of the weights
    forward_slips, backward_slips    name → hint. A slip is a line of the formulas that is wrong.
    kept_slips                       (y, last states) → name, what is kept for the next batch instead, and hint
    """

    own: type[Layer]
    gates: int
    states: int
    names: Sequence[str]
    more: Callable[[int], Sequence[tuple[int, ...]]]
    forward: Callable[..., tuple[np.ndarray, Sequence[np.ndarray]]]
    backward: Callable[..., Sequence[np.ndarray]]
    forward_slips: Mapping[str, str]
    backward_slips: Mapping[str, str]
    kept_slips: Callable[[np.ndarray, Sequence[np.ndarray]], Sequence[tuple[str, Sequence[np.ndarray], str]]]


class TimeRun(Run):
    """A run of a layer whose second bottom has no gradient."""

    def backward(self, dy: Any, propagate_down: Sequence[bool] | None = None) -> np.ndarray:
        """Run backward; by default the diff of the first bottom is asked for."""
        return super().backward(dy, [True, False] if propagate_down is None else [propagate_down[0], False])


class Case:
    """A student's layer with weights, and x, δ and dy of a batch; `begin` is what δ is in the first step."""

    def __init__(self, my: Student, draw: Draw, kind: Kind, layer: Any, begin: float = 0.0,
                 steps: int = 6) -> None:
        self.kind = kind
        self.T, (self.N, self.F, self.D) = steps, draw.sizes(3, 2, min(5, steps + 1))
        rows = kind.gates * self.D
        shapes = [(rows, self.F), (rows,), (rows, self.D), *kind.more(self.D)]
        self.weights = [draw.numbers(*shape, largest=1.0) for shape in shapes]
        self.x, self.cont = self.batch(draw, begin)
        self.dy = draw.numbers(self.T, self.N, self.D)
        self.layer = layer(self.D)
        self.run = TimeRun(my, self.layer, [self.x, self.cont])
        shapes_of_blobs(f"{kind.own.type}Layer(num_output={self.D})", self.layer.blobs, self.weights, kind.names)
        for blob, values in zip(self.layer.blobs, self.weights, strict=True):
            blob.data[...] = values
            blob.diff[...] = LEFT

    def batch(self, draw: Draw, begin: float) -> tuple[np.ndarray, np.ndarray]:
        """Return another x and δ. Sequences begin in a few places, in each stream in others."""
        cont = np.ones((self.T, self.N))
        cont[0] = begin
        for n in range(self.N):
            cont[1 + (n + draw.rng.integers(2)) % (self.T - 1), n] = 0
        cont[1 + draw.rng.integers(self.T - 1), 0] = 0
        cont[:, -1] = [begin, *[1.0] * (self.T - 1)]
        return draw.numbers(self.T, self.N, self.F), cont

    def feed(self, x: np.ndarray, cont: np.ndarray) -> None:
        """Write these values into the bottoms."""
        self.run.bottom[0].data[...], self.run.bottom[1].data[...] = x, cont

    def zeros(self) -> list[np.ndarray]:
        """The states before the first batch."""
        return [np.zeros((self.N, self.D)) for _ in range(self.kind.states)]

    def forward(self, x: np.ndarray, cont: np.ndarray, states: Sequence[np.ndarray], weights: Any = None,
                slip: str = "") -> tuple[np.ndarray, list[np.ndarray]]:
        """Return y and the last states by the definition, stream by stream."""
        given = self.weights if weights is None else weights
        each = [self.kind.forward(x[:, n], cont[:, n], [state[n] for state in states], given, slip)
                for n in range(x.shape[1])]
        return (np.stack([y for y, _ in each], axis=1),
                [np.stack([last[i] for _, last in each]) for i in range(self.kind.states)])

    def check_y(self, called: str, batch: tuple[np.ndarray, np.ndarray], states: Sequence[np.ndarray],
                more: Callable[[], Sequence[Mistake]] = list) -> None:
        """Run the student's layer on a batch, and compare y with the definition."""
        for blob, values in zip(self.run.bottom, batch, strict=True):
            blob.reshape(values.shape)
            blob.data[...] = values
        got, right = self.run.forward(), self.forward(*batch, states)[0]
        compare(f"{called} → top[0].data", got, right, [] if same(got, right) else [
            *more(),
            *(Mistake(slip, self.forward(*batch, states, slip=slip)[0], hint)
              for slip, hint in self.kind.forward_slips.items()),
            Mistake("nothing_written", np.zeros_like(right), "the top still holds zeros")])

    def check_diffs(self, called: str, states: Sequence[np.ndarray], dx: np.ndarray) -> None:
        """Compare dx, and what was added to the diffs of the weights, with those of minicaffe's own layer."""
        own = Own(self)
        own.forward(self.x, self.cont, states)
        right = [own.backward(self.dy), *(blob.diff for blob in own.layer.blobs)]
        got = [dx, *(blob.diff for blob in self.layer.blobs)]
        hints = self.kind.backward_slips
        for i in range(len(self.weights), 0, -1):  # from the loss down
            name, diff = self.kind.names[i - 1], right[i]
            words = f"{called}, diffs of the weights full of {LEFT} before → {name}'s diff"
            compare(words, got[i], LEFT + diff, [] if same(got[i], LEFT + diff) else [
                *(Mistake(slip, LEFT + self._diffs(states, slip)[i], hint) for slip, hint in hints.items()),
                Mistake("overwritten", diff, "what was in the diff is gone: add to the diffs of weights"),
                Mistake("last_written_alone", self._diffs(states, "first_step_alone")[i],
                        "each step overwrites what the step before has written: add to the diffs of weights"),
                Mistake("mean_over_streams", LEFT + diff / self.N, "a sum over the streams, not a mean"),
                Mistake("diff_forgotten", np.full_like(diff, LEFT), f"the diff of {name} is as it was before")])
        compare(f"{called} → bottom[0].diff", dx, right[0], [] if same(dx, right[0]) else [
            *(Mistake(slip, self._diffs(states, slip)[0], hint) for slip, hint in hints.items()),
            *layer_checks.known_of_dx(right[0])])

    def _diffs(self, states: Sequence[np.ndarray], slip: str) -> list[np.ndarray]:
        """Return the diffs of x and of the weights that a slip gives, added up over the streams."""
        each = [self.kind.backward(self.x[:, n], self.cont[:, n], [state[n] for state in states], self.weights,
                                   self.dy[:, n], slip) for n in range(self.N)]
        return [np.stack([one[0] for one in each], axis=1),
                *(np.sum([one[1 + i] for one in each], axis=0) for i in range(len(self.weights)))]


class Own:
    """Minicaffe's own layer in float64, with the weights of a case."""

    def __init__(self, case: Case) -> None:
        use_engine("plain")  # at once there, where the faster ones take seconds to load
        param = LayerParameter(name="own", type=case.kind.own.type, recurrent_param={"num_output": case.D})
        self.layer: Any = case.kind.own(param, dtype=np.float64)
        self.bottom = [Blob(case.x.shape, np.float64), Blob(case.cont.shape, np.float64)]
        self.top = [Blob((), np.float64)]
        self.layer.setup(self.bottom, self.top)
        for blob, values in zip(self.layer.blobs, case.weights, strict=True):
            blob.data[...] = values
        self.layer.reshape(self.bottom, self.top)

    def forward(self, x: np.ndarray, cont: np.ndarray, states: Sequence[np.ndarray] = ()) -> np.ndarray:
        """Return y. The states of the batch before are those that are given, or those that it has left."""
        for blob, values in zip(self.layer.states[:len(states)], states, strict=True):
            blob.data[0] = values
        self.bottom[0].data[...], self.bottom[1].data[...] = x, cont
        self.layer.forward(self.bottom, self.top)
        return np.array(self.top[0].data)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Return dx."""
        self.top[0].diff[...] = dy
        self.layer.backward(self.top, [True, False], self.bottom)
        return np.array(self.bottom[0].diff)


def shapes_of_blobs(called: str, blobs: Sequence[Any], weights: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """Fail where setup has not made zeros of the shapes of these weights, in this order."""
    shapes, right = [blob.data.shape for blob in blobs], [one.shape for one in weights]
    called, order = f"{called}.setup(bottom, top) → shapes of layer.blobs", ", ".join(names)
    expect(len(shapes) == len(right), called, shapes, right, "blobs_in_the_list", f"the list self.blobs has {order}")
    expect(shapes == right or shapes != [shape[::-1] for shape in right], called, shapes, right, "weights_transposed",
           "a matrix has a row for each number that comes out, and a column for each that goes in")
    expect(shapes == right or sorted(shapes) != sorted(right), called, shapes, right, "order_of_blobs",
           f"the order is {order}: files of weights have it")
    expect(shapes == right, called, shapes, right, "shapes_of_blobs", "D is num_output, and F the number of features, "
           "the last axis of x. The docstring of the class has the shapes.")
    for name, blob in zip(names, blobs, strict=True):
        compare(f"layer.blobs after setup, {name}", blob.data, np.zeros(blob.data.shape), [
            Mistake("not_zeros", np.ones(blob.data.shape), "weights are zeros until they are filled or loaded")])


def check_first_step(case: Case) -> None:
    """Fail where a batch of one step is wrong."""
    batch = case.x[:1], case.cont[:1]
    for blob, values in zip(case.run.bottom, batch, strict=True):
        blob.reshape(values.shape)
    case.layer.reshape(case.run.bottom, case.run.top)
    got, right = case.run.top[0].shape, (1, case.N, case.D)
    expect(got == right, f"layer.reshape(bottom, top), x {batch[0].shape} → top[0].shape", got, right, "top_shape",
           "the top is (T, N, D)")
    case.check_y("layer.forward(bottom, top) with T = 1 and δ = 0", batch, case.zeros())


def check_steps(case: Case) -> None:
    """Fail where a batch of sequences that begin here and there is wrong."""
    case.check_y(f"layer.forward(bottom, top) with T = {case.T}", (case.x, case.cont), case.zeros())


def check_next_batch(case: Case, draw: Draw) -> None:
    """Fail where a batch does not go on with the states that the batch before has left."""
    case.run.forward()
    y, states = case.forward(case.x, case.cont, case.zeros())
    x, cont = case.batch(draw, 1.0)
    cont[0, 0] = 0
    case.check_y("layer.forward(bottom, top) on a second batch, δ of its first step 1", (x, cont), states, lambda: [
        *(Mistake(slip, case.forward(x, cont, kept)[0], hint) for slip, kept, hint in case.kind.kept_slips(y, states)),
        Mistake("state_lost", case.forward(x, cont, case.zeros())[0],
                "this batch goes on with the sequences of the batch before, whose last state must be kept")])


def check_other_streams(case: Case, draw: Draw) -> None:
    """Fail where a batch with more streams finds another state than zeros, or does not run."""
    case.run.forward()
    N, T = case.N + 9, case.T + 4
    x, cont = draw.numbers(T, N, case.F), np.ones((T, N))
    case.check_y(f"layer.forward(bottom, top) on a second batch of N = {N} instead of {case.N} streams, and T = {T}",
                 (x, cont), [np.zeros((N, case.D)) for _ in range(case.kind.states)])
    dx = case.run.backward(np.ones((T, N, case.D)))
    expect(dx.shape == x.shape, "layer.backward(top, [True, False], bottom) after it → shape of bottom[0].diff",
           dx.shape, x.shape, "wrong_shape", "the diff of the bottom has the shape of x")


def check_next_batch_backward(case: Case, draw: Draw) -> None:
    """Fail where backward of a batch does not count the states that the batch before has left, or returns to it."""
    case.run.forward()
    states = case.forward(case.x, case.cont, case.zeros())[1]
    case.x, case.cont = case.batch(draw, 1.0)
    case.feed(case.x, case.cont)
    case.run.forward()
    case.check_diffs("layer.backward(top, [True, False], bottom) of a second batch, δ of its first step 1", states,
                     case.run.backward(case.dy))


def check_two_passes(case: Case) -> None:
    """Fail where two passes do not add up, or a diff becomes another array."""
    held = [blob.diff for blob in case.layer.blobs]
    case.run.forward()
    case.run.backward(case.dy)
    once = [np.array(blob.diff) - LEFT for blob in case.layer.blobs]
    case.run.backward(case.dy, [False])
    for name, blob, array, diff in zip(case.kind.names, case.layer.blobs, held, once, strict=True):
        expect(blob.diff is array, f"layer.backward → {name}'s diff", "another array", "the same array, with new "
               "numbers", "diff_replaced", "the solver may hold the old array: add in place")
        compare(f"layer.backward(top, [True, False], bottom), then with [False, False] → {name}'s diff", blob.diff,
                LEFT + 2 * diff, [
            Mistake("weights_depend_on_propagate_down", LEFT + diff, "propagate_down speaks of the bottoms. The "
                    "weights get their gradients each time.")])


def check_like_minicaffe(case: Case, draw: Draw) -> None:
    """Fail where two batches do not give what minicaffe's own layer gives, forward and backward."""
    own = Own(case)
    for number in (1, 2):
        y = own.forward(case.x, case.cont)
        case.feed(case.x, case.cont)
        compare(f"batch {number}, your y beside minicaffe's", case.run.forward(), y)
        compare(f"batch {number}, your dx beside minicaffe's", case.run.backward(case.dy), own.backward(case.dy))
        for name, mine, blob in zip(case.kind.names, case.layer.blobs, own.layer.blobs, strict=True):
            compare(f"batch {number}, your {name}'s diff beside minicaffe's", mine.diff, LEFT + blob.diff)
        case.x, case.cont = case.batch(draw, 1.0)


def check_own(my: Student, case: Case) -> None:
    """Fail where the student's own difference quotient finds the layer wrong."""
    error = float(my.gradient.check_gradient(case.layer, case.run.bottom, case.run.top, [True, False]))
    expect(error < 1e-6, f"check_gradient({case.kind.own.type}Layer(…), bottom, top, [True, False]), δ_1 = 0",
           f"{error:.3g}", "less than 1e-06", "own_check_fails",
           "the numbers above are right, so look at check_gradient: is step 3 passed?")
