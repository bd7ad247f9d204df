"""Live curves: what they hold, when they change, and that a training does not notice them."""

import gc
import re
import sys
import weakref

import pytest
from net_tools import TRAINABLE, layer, make

from minicaffe.notebook import chart, watch
from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver
from minicaffe.solvers.schedule.report import Curve

live = sys.modules["minicaffe.notebook.watch"]
FIELDS = """base_lr: 0.1 lr_policy: "fixed" max_iter: 30 random_seed: 3 snapshot_after_train: false
            test_iter: 2 test_interval: 10 """


def solver_of(more="", net=TRAINABLE):
    accuracy = layer("Accuracy", "ip t", "accuracy", "include { phase: TEST }")
    return get_solver(proto_text.parse(f"{FIELDS} {more} net_param {{ {net} {accuracy} }}", SolverParameter()))


class Notebook:
    """IPython's shell in a notebook, as far as `watch` uses it."""

    kernel = object()

    def __init__(self):
        self.published, self.hooks = [], []
        self.display_pub = self.events = self

    def publish(self, data, transient, update):
        self.published.append((data["text/html"], transient["display_id"], update))

    def register(self, event, hook):
        assert "post_run_cell" == event
        self.hooks.append(hook)

    def unregister(self, event, hook):
        self.hooks.remove(hook)

    def end_of_cell(self):
        for hook in list(self.hooks):
            hook(None)


@pytest.fixture
def shell(monkeypatch):
    """A notebook around the test."""
    found = Notebook()
    monkeypatch.setattr(live, "_notebook", lambda: found)
    return found


class TestInANotebook:
    def test_one_picture_that_changes(self, shell, monkeypatch):
        monkeypatch.setattr(live, "PAUSE", 0)
        monkeypatch.setattr(live, "SHARE", 0)
        solver = solver_of()
        watch(solver)
        solver.solve()
        pictures, ids, updates = zip(*shell.published, strict=True)

        assert 1 == len(set(ids))
        assert [False] + [True] * (len(updates) - 1) == list(updates)
        assert 1 + 30 + 4 == len(updates)  # the empty one, one an update, one a test
        assert "no number yet" in pictures[0]
        assert 2 == pictures[-1].count("<svg")
        assert "iteration 30 of 30" in pictures[-1]

    def test_not_too_often_but_to_the_end(self, shell, monkeypatch):
        """The last picture of a training, and of a cell, has everything."""
        monkeypatch.setattr(live, "PAUSE", 1000)
        solver = solver_of()
        curves = watch(solver)
        solver.step(5)
        assert 2 == len(shell.published)  # the empty one, and that of the first update
        shell.end_of_cell()
        assert curves.html() == shell.published[-1][0]

        before = len(shell.published)
        shell.end_of_cell()
        assert before == len(shell.published)
        solver.solve()
        assert curves.html() == shell.published[-1][0]

    def test_after_an_interrupt(self, shell):
        solver = solver_of()
        curves = watch(solver)

        def interrupt():
            if solver.iter == 7:
                raise KeyboardInterrupt

        solver.on_update.insert(0, interrupt)
        with pytest.raises(KeyboardInterrupt):
            solver.solve()
        shell.end_of_cell()
        assert "iteration 6 of 30" in shell.published[-1][0] or "iteration 7 of 30" in shell.published[-1][0]

        solver.on_update.remove(interrupt)
        solver.solve()
        assert "iteration 30 of 30" in curves.html() == shell.published[-1][0]

    def test_a_second_call_ends_the_first(self, shell):
        solver = solver_of()
        watch(solver)
        curves = watch(solver)

        assert [curves] == [hook.__self__ for hook in solver.on_update]
        assert 1 == len(solver.on_test)
        curves.stop()
        curves.stop()
        assert [] == solver.on_update == solver.on_test

    def test_a_solver_is_not_kept(self, shell):
        solver = solver_of()
        watch(solver)
        known = weakref.ref(solver)
        del solver
        gc.collect()
        assert known() is None

        shell.end_of_cell()
        assert [] == shell.hooks

    def test_a_picture_that_fails_does_not_end_the_training(self, shell, caplog):
        solver = solver_of()
        watch(solver)
        shell.publish = None
        solver.solve()

        assert 30 == solver.iter
        assert 1 == caplog.text.count("the curves cannot be shown any more: TypeError")


class TestInATerminal:
    def test_lines(self, capsys, monkeypatch):
        monkeypatch.setattr(live, "LINES", 0)
        monkeypatch.setattr(live, "SHARE", 0)
        solver = solver_of()
        watch(solver)
        solver.solve()
        lines = capsys.readouterr().out.splitlines()

        assert re.fullmatch(r"iteration 0 of 30, test accuracy \S+, test loss \S+", lines[0])
        assert re.fullmatch(r"iteration 30 of 30, rate 0.1, loss \S+, test accuracy \S+, test loss \S+  \S{16}",
                            lines[-1])

    def test_the_last_line_comes_in_any_case(self, capsys, monkeypatch):
        monkeypatch.setattr(live, "LINES", 1000)
        solver = solver_of()
        watch(solver)
        solver.solve()

        assert ["0", "30", "30"] == re.findall(r"^iteration (\d+) of 30", capsys.readouterr().out, re.MULTILINE)


class TestTheTraining:
    def test_its_numbers_stay_the_same(self, shell, monkeypatch):
        monkeypatch.setattr(live, "PAUSE", 0)
        alone, watched = solver_of(), solver_of()
        watch(watched)
        alone.solve()
        watched.solve()

        assert alone.losses.points == watched.losses.points
        for one, other in zip(alone.net.learnable_params, watched.net.learnable_params, strict=True):
            assert one.blob.data.tobytes() == other.blob.data.tobytes()

    def test_drawing_waits_two_hundred_times_as_long_as_it_takes(self, shell, monkeypatch):
        now = [0.0]
        monkeypatch.setattr(live.time, "perf_counter", lambda: now[0])
        solver = solver_of()
        curves = watch(solver)
        shell.publish = lambda *_, **__: now.__setitem__(0, now[0] + 0.05)
        curves._stale = True
        curves.flush()

        assert 0.05 + live.SHARE * 0.05 == pytest.approx(curves._next)


class TestCurve:
    def test_few_numbers_stay_as_they_are(self):
        curve = Curve()
        for i in range(399):
            curve.add(i, i / 2)
        assert [(i, i / 2) for i in range(399)] == curve.points

    def test_of_many_each_point_is_a_mean(self):
        curve = Curve(most=4)
        for i in range(11):
            curve.add(i, float(i * i))
        assert [(0, (0 + 1 + 4 + 9) / 4), (4, (16 + 25 + 36 + 49) / 4), (8, (64 + 81 + 100) / 3)] == curve.points

    def test_a_resume_goes_back(self):
        curve = Curve()
        for i in (0, 1, 2, 3, 2):
            curve.add(i, 10.0 + i)
        assert [(0, 10), (1, 11), (2, 12)] == curve.points


class TestChart:
    def test_a_line_of_signs(self):
        assert "▁▅█" == chart.sparkline([(0, 0), (1, 1), (2, 2)])
        assert "▁×█" == chart.sparkline([(0, 1), (1, float("nan")), (2, 2)])
        assert "▁" == chart.sparkline([(0, 7)])
        assert "" == chart.sparkline([])
        assert 10 == len(chart.sparkline([(i, i) for i in range(99)], 10))

    def test_points_lie_where_their_numbers_are(self):
        """The path of the picture, read back by the labels of its axes, is the curve."""
        points = [(0, 0.5), (10, 0.0), (30, 2.0), (40, 1.25)]
        shown = chart.svg("loss", [chart.Line("train", points)])
        curve = re.search(r'class="train" d="([^"]+)"', shown)[1]
        path = [tuple(map(float, pair)) for pair in re.findall(r"[ML]([\d.]+) ([\d.]+)", curve)]
        across = [(float(x), float(label)) for x, label in
                  re.findall(r'x="([\d.]+)" y="204" text-anchor="middle">([\d,]+)<', shown)]
        up = [(float(y) - 4, float(label)) for y, label in
              re.findall(r'x="46" y="([\d.]+)" text-anchor="end">([\d.]+)<', shown)]

        def value(at, ticks):
            (a, low), (b, high) = ticks[0], ticks[-1]
            return low + (at - a) / (b - a) * (high - low)

        assert [pytest.approx((value(x, across), value(y, up)), abs=0.02) for x, y in path] == points

    def test_what_is_not_finite_leaves_a_gap(self):
        shown = chart.svg("loss", [chart.Line("train", [(0, 1.0), (1, 2.0), (2, float("inf")), (3, 1.0), (4, 2.0)])])
        assert 2 == re.search(r'class="train" d="([^"]+)"', shown)[1].count("M")

    def test_a_wide_range_gets_powers_of_ten(self):
        shown = chart.svg("loss", [chart.Line("train", [(0, 300.0), (1, 0.02)])])
        assert ["0.1", "1", "10", "100"] == re.findall(r'text-anchor="end">([\d.]+)<', shown)

    @pytest.mark.parametrize("values", [[], [float("nan")], [0.0], [1e300, 2], [3.0, 3.0], [-1e-300, 1e-300],
                                        [1e149, -1e149], [1.0, 1.0 + 1e-15]])
    def test_any_numbers(self, values):
        """Every place in the picture is a number."""
        shown = chart.svg("loss", [chart.Line("test", list(enumerate(values, start=5)))])
        places = re.findall(r' (?:x|y|cx|cy|d)="([^"]*)"', shown)

        assert places
        assert [] == [place for place in places if re.search("nan|inf", place)]

    def test_it_says_itself_in_words(self):
        assert 'aria-label="loss over the iterations: train from 2 to 0.5"' in chart.svg(
            "loss", [chart.Line("train", [(0, 2.0), (9, 0.5)])])




def test_only_solvers_are_watched():
    """A net in the place of a solver is named."""
    with pytest.raises(TypeError, match="watch shows the training of a Solver, got Net"):
        watch(make(TRAINABLE))
