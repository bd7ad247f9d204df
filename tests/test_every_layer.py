"""The tests that every layer type must pass, run on the cases of cases.py.

A new layer needs one Case there, and then all of them run on it.
"""

from __future__ import annotations

import inspect
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from cases import CASES, Case
from extras import needs, needs_tiles

from minicaffe import kernels, proto, rng
from minicaffe.blob import Blob
from minicaffe.errors import LayerError
from minicaffe.kernels import recording
from minicaffe.layer import Layer, create, layer_class, limits, registered_types
from minicaffe.proto import TEST, TRAIN, LayerParameter, text
from minicaffe.testing import check_gradient
from minicaffe.testing.whole_layer import check_kept, check_writes

ENGINES = kernels.available_engines()
LABELS = ["Forward", "Backward", "Bottom", "Top", "Params", "Blobs", "In place", "Phase", "Errors", "Derived", "See"]


class Bench:
    """A case's layer with its blobs: values, weights and random numbers are the same each time one is made."""

    def __init__(self, case: Case, folder: Any, *, dtype: Any = np.float64, grow: int = 0,
                 param: Any = None, in_place: bool = False, fill: bool = True, phase: int | None = None) -> None:
        self.case, self.draw = case, np.random.default_rng(zlib.crc32(case.id.encode()))
        param = self.param(folder) if param is None else param
        if phase is not None:
            param.phase = phase
        self.layer: Layer = create(param, dtype=dtype)
        self.bottom = [Blob(dtype=dtype) for _ in case.bottoms]
        self.feed(grow)
        self.top = [Blob(dtype=dtype) for _ in range(case.tops)]
        if in_place:
            self.top[0] = self.bottom[0]
        rng.seed(1701)
        self.layer.SetUp(self.bottom, self.top)
        if case.ready:
            case.ready(self.layer)
        weights = np.random.default_rng(5)
        for blob in self.layer.blobs if fill else ():
            blob.data[...] = case.blobs(weights, blob.shape).astype(np.float32)
        asked = range(len(self.bottom)) if case.gradients is None else case.gradients
        self.asked = [i in asked and self.layer.allow_force_backward(i) for i in range(len(self.bottom))]

    def param(self, folder: Any) -> Any:
        """Return the layer's definition, parsed, after writing the files that it names."""
        if self.case.files and not any(folder.iterdir()):
            self.case.files(folder)
        lines = f'name: "layer" type: "{self.case.type}" ' + self.case.prototxt.replace("{files}", str(folder))
        return text.parse(lines, LayerParameter())

    def feed(self, grow: int = 0) -> None:
        """Fill the bottoms with batches of `grow` more samples than the case says."""
        self.draw = np.random.default_rng(zlib.crc32(self.case.id.encode()) + grow)
        for blob, feed in zip(self.bottom, self.case.feeds, strict=True):
            shape = tuple(n + grow if axis == feed.batch else n for axis, n in enumerate(feed.shape))
            blob.reshape(shape)
            blob.data[...] = feed.draw(self.draw, shape).astype(np.float32)

    def change(self) -> None:
        """Give bottoms and blobs other values, in the memory they have, and fill the tops with NaN."""
        draw = np.random.default_rng(11)
        for blob, feed in zip(self.bottom, self.case.feeds, strict=True):
            blob.data[...] = feed.draw(draw, blob.shape)
        for blob in self.layer.blobs:
            blob.data[...] = self.case.blobs(draw, blob.shape)
        for blob in self.top:
            if self.bottom and not any(np.shares_memory(blob.data, b.data) for b in self.bottom):
                blob.data.fill(np.nan)

    def forward(self) -> list[np.ndarray]:
        """Run forward, and return copies of the tops' data."""
        rng.seed(1701)
        self.layer.Forward(self.bottom, self.top)
        return [t.data.copy() for t in self.top]

    def backward(self, asked: Sequence[bool] | None = None, start: float = 0.0,
                 start_bottoms: float = 0.0) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Run backward from the same random top diffs each time; return copies of the bottoms' and the blobs' diffs."""
        for blob in self.bottom:
            blob.diff.fill(start_bottoms)
        for blob in self.layer.blobs:
            blob.diff.fill(start)
        draw = np.random.default_rng(7)
        for blob in self.top:
            blob.diff[...] = draw.standard_normal(blob.shape)
        self.layer.Backward(self.top, self.asked if asked is None else asked, self.bottom)
        return [b.diff.copy() for b in self.bottom], [b.diff.copy() for b in self.layer.blobs]

    def run(self) -> list[np.ndarray]:
        """Return everything that one pass computes: tops, the bottom diffs that are asked for, blob diffs."""
        return self.after(self.forward())

    def after(self, tops: list[np.ndarray]) -> list[np.ndarray]:
        """Run backward after a forward pass that gave these tops, and return what both have computed."""
        if not self.layer.blobs and not any(self.asked):
            return tops
        bottoms, blobs = self.backward()
        return [*tops, *(d for d, asked in zip(bottoms, self.asked, strict=True) if asked), *blobs]


@pytest.fixture
def numba() -> Iterator[None]:
    """The numba engine, for one test."""
    needs("numba")
    before = kernels.engine()
    kernels.use_engine("numba")
    yield
    kernels.use_engine(before)


def each(check: str, when: Callable[[Case], bool] = bool, *, on_each_engine: bool = True) -> Any:
    """Run a test on every engine, with every case that does not skip `check` and for which `when` holds."""
    cases = [c for c in CASES if check not in c.skip and when(c)]

    def mark(test: Any) -> Any:
        test = pytest.mark.parametrize("case", cases, ids=lambda c: c.id)(test)
        return pytest.mark.usefixtures("each_engine")(test) if on_each_engine else test

    return mark


def assert_same(want: list[np.ndarray], got: list[np.ndarray], relative: float = 0.0) -> None:
    """Equal shapes, and values equal up to `relative` of the largest in each array."""
    assert [w.shape for w in want] == [g.shape for g in got]
    for w, g in zip(want, got, strict=True):
        np.testing.assert_allclose(g, w, rtol=0, atol=relative * max(1.0, np.abs(w).max(initial=0)))


@pytest.mark.parametrize("type_name", registered_types())
def test_has_a_case(type_name):
    """Every layer type has a case, so the tests below run on it."""
    assert type_name in {case.type for case in CASES}


def test_skips_name_checks():
    """A case leaves out only tests that exist, and says why."""
    checks = {"batch", "gradient", "unasked", "diffs", "in place", "precision", "engines", "round trip", "seed",
              "arity", "replay"}
    skips = {name for case in CASES for name in case.skip}

    assert skips <= checks
    assert all(reason for case in CASES for reason in case.skip.values())


@each("")
def test_reshape_is_repeatable(case, tmp_path):
    """A second reshape leaves the tops' shapes and the values as they are."""
    bench = Bench(case, tmp_path)
    want, shapes = bench.forward(), [t.shape for t in bench.top]
    bench.layer.Reshape(bench.bottom, bench.top)

    assert shapes == [t.shape for t in bench.top]
    if case.bottoms:  # sources go on to their next batch
        assert_same(want, bench.forward())


@each("batch", lambda case: any(feed.batch is not None for feed in case.feeds))
def test_batch_size_may_change(case, tmp_path):
    """A batch that shrinks and grows between passes gives what a new layer gives."""
    bench = Bench(case, tmp_path)
    bench.run()
    for grow in (-1, 2, 0):
        bench.feed(grow)

        assert_same(Bench(case, tmp_path, grow=grow).run(), bench.run(), 1e-12)


@each("")
def test_forward_alone(case, tmp_path):
    """A layer that nothing runs backward gives the same numbers, whatever its tops and its scratch memory hold before.

    In a net other layers leave their numbers there. So the layer must write all of its tops, and read nothing that it
    has not written."""
    want = Bench(case, tmp_path).forward()
    bench = Bench(case, tmp_path)
    bench.layer.runs_backward = False
    bench.layer.Reshape(bench.bottom, bench.top)
    given = {blob.storages[0] for blob in (*bench.bottom, *bench.layer.blobs)}
    for top in bench.top if case.bottoms else ():  # a source may write its tops once
        if top.storages[0] not in given:
            top.data.fill(np.nan)
    for array in bench.layer.scratch_arrays:
        array.fill(255)  # NaN, whatever float they become

    assert_same(want, bench.forward())


@each("gradient", lambda case: bool(case.bottoms) and case.gradients != ())
def test_gradient(case, tmp_path):
    """Backward computes the derivative of forward."""
    bench = Bench(case, tmp_path)
    bench.forward()  # some tops have their shape only now
    asked = [i for i, a in enumerate(bench.asked) if a]
    check_gradient(bench.layer, bench.bottom, bench.top, bottoms=asked, kinks=case.kinks, **case.gradient)


@each("unasked", lambda case: bool(case.bottoms))
def test_unasked_diffs_are_left_alone(case, tmp_path):
    """Backward leaves a bottom diff alone that nobody asked for, whether none is asked for or all but one."""
    bench = Bench(case, tmp_path)
    bench.forward()
    for left_out in [None, *(i for i, asked in enumerate(bench.asked) if asked)]:
        asked = [left_out is not None and a and i != left_out for i, a in enumerate(bench.asked)]
        if layer_class(case.type).shares_data and not any(asked):
            continue  # the bottom's diff is the top's
        diffs, _ = bench.backward(asked, start_bottoms=5)

        for a, diff in zip(asked, diffs, strict=True):
            assert a or (diff == 5).all()


@each("diffs")
def test_bottom_diffs_are_overwritten_and_blob_diffs_accumulated(case, tmp_path):
    """Backward overwrites the diffs of the bottoms, and adds to those of the learned blobs."""
    bench = Bench(case, tmp_path)
    bench.forward()
    bottoms, blobs = bench.backward()
    bench.forward()
    again, more = bench.backward(start=7, start_bottoms=3)

    for want, got, asked in zip(bottoms, again, bench.asked, strict=True):
        if asked:
            np.testing.assert_array_equal(got, want)
    for want, got in zip(blobs, more, strict=True):
        np.testing.assert_allclose(got - 7, want, rtol=1e-9, atol=1e-9)


@each("in place", lambda case: bool(case.bottoms and case.tops))
def test_in_place(case, tmp_path):
    """A layer gives the same numbers when it runs in place, or it refuses to run so."""
    if not layer_class(case.type).in_place:
        with pytest.raises(LayerError, match=rf"'layer' \({case.type}\): cannot run in place"):
            Bench(case, tmp_path, in_place=True)
        return
    assert_same(Bench(case, tmp_path).run(), Bench(case, tmp_path, in_place=True).run(), 1e-12)


@each("")
def test_no_array_of_a_blob_is_kept(case, tmp_path):
    """Between two calls a layer keeps no array that lies in the memory of a bottom or a top."""
    bench = Bench(case, tmp_path)
    bench.run()
    check_kept(bench.layer, bench.bottom, bench.top)


@each("")
def test_each_pass_writes_only_what_it_may(case, tmp_path):
    """Forward writes only the tops' data and statistics; backward only the diffs of bottoms and blobs."""
    bench = Bench(case, tmp_path)
    bench.forward()
    if case.bottoms:  # a source goes on to its next batch
        check_writes(bench.layer, bench.bottom, bench.top, bench.asked)


@each("precision")
def test_float32_agrees_with_float64(case, tmp_path):
    """Float32 loses no more than rounding."""
    want, got = Bench(case, tmp_path).run(), Bench(case, tmp_path, dtype=np.float32).run()

    assert {np.dtype(np.float32)} >= {g.dtype for g in got}
    assert_same(want, got, 3e-6)


@each("engines", on_each_engine=False)
@pytest.mark.parametrize("each_engine", ENGINES[1:], indirect=True)
def test_engines_agree(case, each_engine, tmp_path):
    """Every engine computes what the definitions do, and numba what numpy does."""
    got = Bench(case, tmp_path, dtype=np.float32).run()
    for engine in ENGINES[:ENGINES.index(each_engine)]:
        kernels.use_engine(engine)

        assert_same(Bench(case, tmp_path, dtype=np.float32).run(), got, 1e-6)


def replaying() -> Iterator[Any]:
    """Yield each case in which the layer is `recordable`, with whether it runs in place and whether backward is run.

    A layer with some parameters may be recordable while one of the same type with others is not. Those that run
    backward are of TRAIN, the others of TEST.
    """
    with TemporaryDirectory() as folder:
        for case, in_place, backward in product(CASES, (False, True), (True, False)):
            cls = layer_class(case.type)
            if "replay" in case.skip or not cls.recordable or (in_place and not cls.in_place):
                continue
            bench = Bench(case, Path(folder), in_place=in_place, phase=TRAIN if backward else TEST)
            bench.layer.runs_backward = backward
            bench.layer.Reshape(bench.bottom, bench.top)
            if bench.layer.recordable:
                words = ["in place" if in_place else "apart", "backward" if backward else "forward alone"]
                yield pytest.param(case, in_place, backward, id="-".join([case.id, *words]))


REPLAYING = list(replaying())


def test_every_type_that_replays_does_so():
    """The test below runs on every type that says it is `recordable`."""
    recordable = {name for name in registered_types() if layer_class(name).recordable}

    assert recordable == {p.values[0].type for p in REPLAYING}


@pytest.mark.parametrize(("case", "in_place", "backward"), REPLAYING)
def test_a_recording_stands_for_a_layer(case, in_place, backward, tmp_path, numba, monkeypatch):
    """The recording of a `recordable` layer, run on other values, gives the same bits as a forward pass.

    So does the backward pass after it, which is a recording, too, where the layer is `recordable_backward`."""
    if case.type in ("Convolution", "Deconvolution", "InnerProduct"):
        needs_tiles()
    phase = TRAIN if backward else TEST
    fresh, bench = (Bench(case, tmp_path, dtype=np.float32, in_place=in_place, phase=phase) for _ in range(2))
    fresh.layer.runs_backward = bench.layer.runs_backward = backward
    bench.forward()
    with recording.recording() as recorded:
        bench.layer.Forward(bench.bottom, bench.top)

    assert recorded.usable
    if backward and bench.layer.recordable_backward:
        bench.backward()
        with recording.recording() as back:
            bench.layer.Backward(bench.top, bench.asked, bench.bottom)
        if back.usable:  # else it calls a kernel that is not compiled, and no net plays it
            monkeypatch.setattr(bench.layer, "Backward", lambda *blobs: back.as_function()())
    for one in (fresh, bench):
        one.change()
    want = fresh.run() if backward else fresh.forward()
    bench.layer.Reshape(bench.bottom, bench.top)
    recorded.as_function()()
    got = [t.data.copy() for t in bench.top]
    assert_same(want, bench.after(got) if backward else got)


@each("round trip", on_each_engine=False)
def test_definition_round_trip(case, tmp_path):
    """What `to_proto` gives, written and read again, makes the same layer with the same blobs."""
    bench = Bench(case, tmp_path, dtype=np.float32)
    binary = LayerParameter.FromString(bench.layer.to_proto().SerializeToString())
    plain = LayerParameter()
    plain.CopyFrom(bench.layer.layer_param)

    assert text.parse(text.format(plain), LayerParameter()) == plain
    assert_same(bench.run(), Bench(case, tmp_path, dtype=np.float32, param=binary, fill=False).run())


@each("seed")
def test_same_seed_same_numbers(case, tmp_path):
    """The same seed gives the same numbers: a layer draws from the seeded generator alone."""
    assert_same(Bench(case, tmp_path, fill=False).run(), Bench(case, tmp_path, fill=False).run())


@each("arity", on_each_engine=False)
def test_wrong_arity(case, tmp_path):
    """A wrong number of bottoms or tops is refused in a message that names the layer."""
    cls = layer_class(case.type)
    for what, arity in (("bottom", cls.bottoms), ("top", cls.tops)):
        low, high = limits(arity)
        for wrong in [low - 1] * (low > 0) + ([] if high is None else [high + 1]):
            bench = Bench(case, tmp_path)
            blobs = [Blob(dtype=np.float64) for _ in range(wrong)]
            bottom, top = (blobs, bench.top) if what == "bottom" else (bench.bottom, blobs)
            with pytest.raises(LayerError, match=rf"'layer' \({case.type}\): takes .* {what} blobs?, got {wrong}"):
                create(bench.layer.layer_param, dtype=np.float64).SetUp(bottom, top)


@pytest.mark.parametrize("type_name", registered_types())
def test_datasheet_speaks_of_fields_that_exist(type_name):
    """Params names the messages that the layer reads, and no field that they do not have."""
    cls = layer_class(type_name)
    found = re.search(rf"^Params(.*?)(?=^(?:{'|'.join(LABELS)})\b|\Z)", inspect.getdoc(cls), re.MULTILINE | re.DOTALL)
    listed = found[1] if found else ""
    of_layer = LayerParameter.DESCRIPTOR.fields_by_name
    messages = set(re.findall(r"\b\w+_param\b", listed)) & set(of_layer)
    read = [field for m in messages for field in of_layer[m].message_type.fields]
    inner = [field for outer in read if outer.message_type for field in outer.message_type.fields]
    fields = {field.name for field in (*read, *inner)}
    named = set(re.findall(r"\b(?:[a-z]\w*(?==)|[a-z0-9]+_\w+)", listed)) - messages

    assert {m for m in (cls.message, *cls.also_reads) if m} == messages
    assert named <= fields


@pytest.mark.parametrize("type_name", registered_types())
def test_param_is_annotated_with_its_message(type_name):
    """A class that names its message says so in the type of `param`, too: editors and mypy then know the fields."""
    for cls in layer_class(type_name).__mro__:
        if name := vars(cls).get("message"):
            field = LayerParameter.DESCRIPTOR.fields_by_name[name]

            assert inspect.get_annotations(cls)["param"] is getattr(proto, field.message_type.name)
