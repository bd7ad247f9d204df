"""The checks of step 19: a snapshot has all that the next steps depend on, to the last bit."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe.course.checking import Draw, Mistake, compare, expect
from minicaffe.course.layer_checks import GARBAGE
from minicaffe.course.student import Student

STEPS, MORE = 7, 9  # before the snapshot and after it; the rounds of five batches end elsewhere
SIZE, SAMPLES = 3, 17
CALLED = "save(training, path) after 7 steps; restore(another, path)"


class _StreamNet:
    """A net of one layer over time, which reads a batch as one stream that goes on in the next batch."""

    def __init__(self, layer: Any, blob: Callable[..., Any], features: int) -> None:
        self.layers, self.layer = [layer], layer
        self.bottom, self.top = [blob((SIZE, 1, features)), blob((SIZE, 1))], [blob()]
        self.bottom[1].data[...] = 1
        layer.setup(self.bottom, self.top)

    @property
    def params(self) -> list[Any]:
        """The blobs of the layer."""
        return list(self.layer.blobs)

    def forward(self, x: np.ndarray, t: np.ndarray) -> float:
        """Return half of the sum of squares."""
        self.bottom[0].data[:, 0] = x
        self.layer.reshape(self.bottom, self.top)
        self.layer.forward(self.bottom, self.top)
        self.top[0].diff[:, 0] = self.top[0].data[:, 0] - t
        return float((self.top[0].diff ** 2).sum() / 2)

    def backward(self) -> None:
        """The diff of the top is there already."""
        self.layer.backward(self.top, [False, False], self.bottom)


class _Maker:
    """Makes trainings of one net on the same samples, which differ in their weights and seeds."""

    def __init__(self, my: Student, draw: Draw, kind: str = "") -> None:
        self.my, self.draw, self.kind = my, draw, kind
        self.D, self.K = draw.sizes(2)
        self.x = draw.numbers(SAMPLES, self.D)
        self.t = draw.rng.integers(0, 2, (SAMPLES, self.K)).astype(float)

    def new(self, seed: int, outputs: int = 0, bias: bool = True) -> Any:
        """Return a training that has taken no step."""
        my, K = self.my, outputs or self.K
        if self.kind:
            layer = my.rnn.RNNLayer(num_output=K) if self.kind == "rnn" else my.lstm.LSTMLayer(num_output=K)
            net: Any = _StreamNet(layer, my.blob.Blob, self.D)
        else:
            net = my.chain.Chain([my.inner_product.InnerProductLayer(num_output=K, bias_term=bias),
                                  my.sigmoid_cross_entropy_loss.SigmoidCrossEntropyLossLayer()])
            net.setup(self.x[:SIZE], np.zeros((SIZE, K)))
        for blob in net.params:
            blob.data[...] = self.draw.numbers(*blob.shape)
        solver = my.momentum.Momentum(net.params, 0.2, 0.9, 0.01, gamma=0.5, stepsize=4)
        t = self.t if not outputs else np.zeros((SAMPLES, K))
        return my.training.Training(net, solver, self.x, t, SIZE, seed)

    def trained(self) -> Any:
        """Return a training that has taken some steps."""
        training = self.new(seed=5)
        for _ in range(STEPS):
            training.step()
        return training


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _restored(my: Student, maker: _Maker, training: Any, other: Any = None) -> Any:
    """Save a training, and return another one that has restored it from a copy of the file."""
    other = maker.new(seed=9) if other is None else other
    with _folder() as folder:
        path = folder / "at_7.state"
        my.snapshot.save(training, str(path))
        _is_there(path)
        copied = folder / "copy.state"
        copied.write_bytes(path.read_bytes())
        my.snapshot.restore(other, str(copied))
    return other


def _is_there(path: Path) -> None:
    names = sorted(one.name for one in path.parent.iterdir())
    expect(f"{path.name}.npz" not in names, f'save(training, "{path.name}") → the files in the folder', names,
           [path.name], "npz_appended", "np.savez adds .npz to a name. Give it an open file: with open(…, \"wb\") as "
           "file.")
    expect(path.name in names, f'save(training, "{path.name}") → the files in the folder', names, [path.name],
           "file_missing", "the file must have the name that save was given")
    expect(names == [path.name], f'save(training, "{path.name}") → the files in the folder', names, [path.name],
           "other_files_left", "save writes one file. One that it needs on the way gets the name `path` by os.replace.")


def check_file(my: Student, draw: Draw) -> None:
    """A call of save writes one file of the name that it is given."""
    maker = _Maker(my, draw)
    with _folder() as folder:
        for name in ("at_7.state", "at_7.npz"):
            (folder / name.split(".")[1]).mkdir()
            my.snapshot.save(maker.trained(), str(folder / name.split(".")[1] / name))
            _is_there(folder / name.split(".")[1] / name)


def check_weights(my: Student, draw: Draw) -> None:
    """The weights are those of the saved training, bit for bit, in the arrays that were there."""
    maker = _Maker(my, draw)
    training, other = maker.trained(), maker.new(seed=9)
    held = [blob.data for blob in other.net.params]
    old = [np.array(data) for data in held]
    _restored(my, maker, training, other)
    for i, (blob, right) in enumerate(zip(other.net.params, training.net.params, strict=True)):
        compare(f"{CALLED} → data of net.params[{i}]", blob.data, right.data, [
            Mistake("weights_forgotten", old[i], "the weights are as they were in the other training"),
            Mistake("diff_for_data", right.diff, "that is the diff: the weights are in data"),
            *_nearly(blob.data, right.data)], tolerance=0)
    expect(all(blob.data is data for blob, data in zip(other.net.params, held, strict=True)),
           f"{CALLED} → data of a blob in net.params", "another array", "the same array, with new numbers",
           "data_replaced", "a layer or the solver may hold the old array. Write into it: blob.data[...] = …")


def _nearly(got: Any, right: np.ndarray) -> list[Mistake]:
    """The mistakes that lose digits."""
    array = np.asarray(got, np.float64)
    close = array.shape == right.shape and np.allclose(array, right, 1e-3, 1e-3)
    return [Mistake("half_the_digits", right.astype(np.float32).astype(float), "these numbers went through float32. "
                    "Keep float64, or the two trainings drift apart."),
            Mistake("digits_lost", array if close else np.full(right.shape, np.nan), "the numbers are nearly right: "
                    "digits were lost on the way. Store the arrays, not a text of them.")]


def check_history(my: Student, draw: Draw) -> None:
    """The history of the solver is restored, so that the next steps have their momentum."""
    maker = _Maker(my, draw)
    training = maker.trained()
    other = _restored(my, maker, training)
    for i, (v, right) in enumerate(zip(other.solver.history, training.solver.history, strict=True)):
        compare(f"{CALLED} → solver.history[{i}]", v, right, [
            Mistake("history_forgotten", 0 * right, "v is 0 as at the beginning: the next steps would have no "
                    "momentum"),
            Mistake("weights_for_history", training.net.params[i].data, "these are the weights. v is in "
                    "solver.history."),
            *_nearly(v, right)], tolerance=0)


def check_iteration(my: Student, draw: Draw) -> None:
    """The number of steps is restored, and is a whole number; the rate follows from it."""
    maker = _Maker(my, draw)
    other = _restored(my, maker, maker.trained())
    compare(f"{CALLED} → solver.iteration", other.solver.iteration, STEPS, [
        Mistake("iteration_forgotten", 0, "the rate falls with the iterations, so their number belongs to the "
                "snapshot")])
    expect(isinstance(other.solver.iteration, int | np.integer), f"{CALLED} → type of solver.iteration",
           type(other.solver.iteration).__name__, "int", "iteration_is_no_int",
           "np.load gives an array of the shape (): int(…) makes a whole number of it")


def check_batches(my: Student, draw: Draw) -> None:
    """The next batches are those that the saved training would have had."""
    maker = _Maker(my, draw)
    training, fresh = maker.trained(), maker.new(seed=9)
    order = np.array(fresh.order)
    other = _restored(my, maker, training, fresh)
    compare(f"{CALLED} → order", other.order, training.order, [
        Mistake("order_forgotten", order, "the order of this round belongs to the snapshot: it was drawn before"),
        Mistake("order_drawn_anew", _next_order(training), "that is the order of the next round")])
    expect(np.asarray(other.order).dtype.kind == "i", f"{CALLED} → type of order", np.asarray(other.order).dtype,
           "whole numbers", "order_is_no_int", "rows are numbered by whole numbers")
    compare(f"{CALLED} → place", other.place, training.place, [
        Mistake("place_forgotten", 0, "the samples before `place` have had their turn in this round")])
    compare(f"{CALLED} → the order that rng draws next", _next_order(other), _next_order(training), [
        Mistake("rng_forgotten", _next_order(maker.new(seed=9)), "this is what the rng of the other training draws: "
                "rng.bit_generator.state belongs to the snapshot"),
        Mistake("rng_from_its_seed", _next_order(maker.new(seed=5)), "the rng has begun anew: it is further on in "
                "the saved training")])


def _copy_of_rng(training: Any) -> np.random.Generator:
    """Return a generator that draws what that of the training will draw."""
    rng = np.random.default_rng(0)
    rng.bit_generator.state = training.rng.bit_generator.state
    return rng


def _next_order(training: Any) -> np.ndarray:
    return _copy_of_rng(training).permutation(SAMPLES)


def check_states_of_layers(my: Student, draw: Draw) -> None:
    """Layers over time go on from their last state, and an LSTM from its last cell."""
    for kind, names in (("rnn", ["state"]), ("lstm", ["state", "cell"])):
        maker = _Maker(my, draw, kind)
        training = maker.trained()
        other = _restored(my, maker, training)
        for name in names:
            right = getattr(training.net.layer, name).data
            called = f"{CALLED}, a net with an {kind.upper()} → the layer's {name}"
            got = getattr(other.net.layer, name).data
            compare(called, got if got.shape == right.shape else 0 * right, right, [
                Mistake("state_forgotten", 0 * right, "the next batch goes on from here, so what layers hand on "
                        "belongs to the snapshot"),
                Mistake("state_and_cell_mixed", training.net.layer.state.data, "the cell got the state"),
                *_nearly(got, right)], tolerance=0)
        before, right_losses = [other.step() for _ in range(MORE)], [training.step() for _ in range(MORE)]
        compare(f"{CALLED}, a net with an {kind.upper()} → the losses of {MORE} more steps", before, right_losses,
                tolerance=0)


def check_to_the_bit(my: Student, draw: Draw) -> None:
    """A training that was saved and restored takes the very steps of one that was never stopped."""
    maker = _Maker(my, draw)
    straight, stopped = _twins(maker)
    losses = [straight.step() for _ in range(STEPS + MORE)]
    for _ in range(STEPS):
        stopped.step()
    resumed = _restored(my, maker, stopped)
    compare(f"the losses of {MORE} steps after a snapshot, beside those without one",
            [resumed.step() for _ in range(MORE)], losses[STEPS:], tolerance=0)
    for i, (blob, right) in enumerate(zip(resumed.net.params, straight.net.params, strict=True)):
        compare(f"data of net.params[{i}] after them", blob.data, right.data, tolerance=0)
    compare("the losses of the training that was saved, which goes on too", [stopped.step() for _ in range(MORE)],
            losses[STEPS:], tolerance=0)


def _twins(maker: _Maker) -> tuple[Any, Any]:
    """Return two trainings that are the same in everything."""
    one, two = maker.new(seed=5), maker.new(seed=5)
    for mine, right in zip(two.net.params, one.net.params, strict=True):
        mine.data[...] = right.data
    return one, two


def check_save_changes_nothing(my: Student, draw: Draw) -> None:
    """A call of save leaves the training as it is, its rng too."""
    maker = _Maker(my, draw)
    training = maker.trained()
    for blob in training.net.params:
        blob.diff[...] = GARBAGE
    before = _all_of(training)
    with _folder() as folder:
        my.snapshot.save(training, str(folder / "at_7.state"))
    for (name, got), (_, right) in zip(_all_of(training), before, strict=True):
        compare(f"save(training, path) → {name} of the training", got, right, [Mistake(
            "save_changes_the_training", got, "save only reads. To draw from rng changes it, for instance.")],
            tolerance=0)


def _all_of(training: Any) -> list[tuple[str, np.ndarray]]:
    """Return copies of all that may change in a training."""
    blobs = [(f"net.params[{i}]", blob) for i, blob in enumerate(training.net.params)]
    found = [(f"data of {name}", np.array(blob.data)) for name, blob in blobs]
    found += [(f"diff of {name}", np.array(blob.diff)) for name, blob in blobs]
    found += [(f"solver.history[{i}]", np.array(v)) for i, v in enumerate(training.solver.history)]
    return [*found, ("solver.iteration", np.array(training.solver.iteration)), ("order", np.array(training.order)),
            ("place", np.array(training.place)), ("what rng draws next", _copy_of_rng(training).random(3))]


def check_another_net(my: Student, draw: Draw) -> None:
    """A snapshot of another net raises ValueError, and the training stays as it was."""
    maker = _Maker(my, draw)
    for saved, into, words in (({"outputs": 1}, {"outputs": 3}, "w (1, D), into a net with w (3, D)"),
                               ({}, {"bias": False}, "w and b, into a net with w alone"),
                               ({"bias": False}, {}, "w alone, into a net with w and b")):
        training = maker.new(5, **saved)
        for _ in range(STEPS):
            training.step()
        _refused(my, training, maker.new(9, **into), words)


def _refused(my: Student, saved: Any, into: Any, words: str) -> None:
    before, called = _all_of(into), f"restore(training, path), a snapshot of a net with {words}"
    wrong: Sequence[str] = ()
    with _folder() as folder:
        my.snapshot.save(saved, str(folder / "other.state"))
        try:
            my.snapshot.restore(into, str(folder / "other.state"))
            wrong = "no error", "not_refused", ("numpy repeats an array of the shape (1, D) where (3, D) is asked for, "
                                                "and zip stops at the shorter list. Compare numbers and shapes first.")
        except ValueError:
            pass
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            wrong = (f"{type(error).__name__}: {error}", "other_error",
                     "find out how many blobs the file has before you read them")
    if wrong:
        expect(False, called, wrong[0], "ValueError", wrong[1], wrong[2])
    for (name, got), (_, right) in zip(_all_of(into), before, strict=True):
        compare(f"{called} → {name} of the training", got, right, [Mistake(
            "half_restored", got, "compare everything before you write anything: this training has lost a part of its "
                                  "own numbers, and got none in their place that it could use")], tolerance=0)


def check_old_file_stays(my: Student, draw: Draw) -> None:
    """A snapshot that is written over stays whole until the new one is complete."""
    maker = _Maker(my, draw)
    training = maker.trained()
    with _folder() as folder:
        path, second_name = folder / "latest.state", folder / "kept"
        my.snapshot.save(training, str(path))
        _is_there(path)
        before = path.read_bytes()
        os.link(path, second_name)  # a second name of the same file: whoever writes into the file changes this, too
        training.step()
        my.snapshot.save(training, str(path))
        kept, new = second_name.read_bytes(), path.read_bytes()
    called = 'save(training, path), where path has an older snapshot'
    expect(new != before, called, "the old snapshot", "the new one", "old_snapshot_kept",
           "the newer one takes the name")
    expect(kept == before, called, "the new one is written into the old file", "another file that takes its name",
           "written_over", "a failure half way would leave neither. Write to another name, and then os.replace.")
