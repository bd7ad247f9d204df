"""What print, a prompt and a notebook show of nets, blobs, layers and solvers; and how a `repr` stays short."""

import io
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from net_tools import TRAINABLE, inputs, layer, make

from minicaffe import Blob, Layer, LayerError, Net, NetError, pycaffe
from minicaffe.layers import InnerProductLayer, datasheet
from minicaffe.notebook import html, net_view, numbers, text
from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.showing import Shown, as_text
from minicaffe.solvers import Solver, get_solver

SOLVER = "base_lr: 0.1 max_iter: 40 lr_policy: 'fixed' snapshot_after_train: false "


def solver_of(more="", net=TRAINABLE):
    return get_solver(proto_text.parse(f"{SOLVER} {more} net_param {{ {net} }}", SolverParameter()))


def images(html_text):
    return re.findall(r'<img src="data:image/png;base64,[^"]+" width="(\d+)" height="(\d+)"', html_text)


class Plain(Layer):  # has no docstring
    type = "Plain"

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data


class TestNet:
    def test_the_table(self):
        net = make(TRAINABLE, dtype=np.float32)
        lines = str(net).splitlines()

        assert "Net '': 6 layers, 210 parameters, TRAIN, float32" == lines[0]
        assert ["layer", "type", "blobs", "shapes", "parameters"] == lines[1].split()
        assert ["conv", "Convolution", "x", "→", "c", "16×4×7×5", "112"] == lines[3].split()
        assert ["relu", "ReLU", "c", "→", "c", "16×4×7×5", "–"] == lines[4].split()
        assert ["loss", "SoftmaxWithLoss", "ip,", "t", "→", "loss", "scalar", "–"] == lines[7].split()

    def test_the_same_rows_in_a_notebook(self):
        shown = make(TRAINABLE)._repr_html_()

        assert 7 == shown.count("<tr>")
        assert 1 == shown.count('class="net-drawing"') == shown.count('data-layer="1"')
        assert "<td>conv</td><td>Convolution</td><td>x → c</td><td>16×4×7×5</td><td class=right>112</td>" in shown

    def test_of_a_long_net_the_middle_is_left_out(self):
        net = make(inputs(x=(3, 2)) + "".join(layer("ReLU", "x", "x", name=f"relu{i}") for i in range(1000)))
        lines = str(net).splitlines()

        assert net_view.MOST_LINES + 3 == len(lines)
        assert ["…", "941", "more", "layers"] == lines[2 + net_view.MOST_LINES // 2].split()
        assert "relu999" in lines[-1]

    def test_shared_weights_count_once(self):
        one = 'param { name: "w" } inner_product_param { num_output: 2 bias_term: false }'
        net = make(inputs(x=(3, 2)) + layer("InnerProduct", "x", "y", one) + layer("InnerProduct", "y", "z", one))

        assert "4 parameters" in str(net)
        assert ["4", "shared"] == [line.split()[-1] for line in str(net).splitlines()[-2:]]

    def test_many_drawings_in_a_notebook_share_no_id(self):
        net = make(inputs(x=(3, 2)) + layer("ReLU", "x", "y") + layer("TanH", "x", "z"))
        found = [re.findall(r' id="([^"]+)"', thing._repr_html_()) for thing in (net, net)]

        assert len(found[0]) == len(found[1]) == 6  # the title, the description, three layers and a Split
        assert len({*found[0], *found[1]}) == 12
        for named in re.findall(r'aria-labelledby="([^"]+)"', net._repr_html_()):
            assert {"drawing-title", "drawing-desc"} == {one.split("-", 2)[-1] for one in named.split()}

    def test_layers_and_splits_are_counted_alike_in_the_title_and_the_drawing(self):
        net = make(inputs(x=(3, 2)) + layer("ReLU", "x", "y") + layer("TanH", "x", "z"))

        assert str(net).startswith("Net '': 3 layers and 1 Split, ")
        assert 3 == net._repr_html_().count("3 layers and 1 Split")  # the title, the drawing and its description

    def test_a_net_without_memory_gets_none(self):
        net = make(TRAINABLE.replace("dim: 16", "dim: 16000000"), shapes_only=True)
        for thing in (net, *net.layers, *net.blobs.values()):
            assert str(thing)
            assert thing._repr_html_()

        assert "shapes only" in str(net)
        assert all(blob.memory is None for blob in net.blobs.values())

    def test_names_are_no_html(self):
        shown = make(inputs(x=(3, 2)) + layer("ReLU", "x", "y", name="<script>"))._repr_html_()

        assert "<script>" not in shown
        assert "&lt;script&gt;" in shown

    def test_pycaffes_nets_too(self):
        net = pycaffe.Net(proto_text.parse(TRAINABLE, type(make(TRAINABLE).param)()))

        assert "Convolution" in str(net)
        assert "<table>" in net._repr_html_()


class TestBlob:
    def test_range_mean_and_first_numbers(self):
        blob = Blob((2, 4))
        blob.data[...] = [[-1, 0.25, 3, 0], [0, 0, 0, 1]]
        blob.diff[...] = 0.5

        assert str(blob) == ("Blob 2×4, float32\n"
                             "data  -1 to 3, mean 0.4062: -1, 0.25, 3, 0, 0, 0, …\n"
                             "diff  all 0.5")

    def test_a_look_makes_no_memory_and_writes_none(self):
        blob = Blob((2, 4))
        text(blob)
        html(blob)
        assert blob.memory is None
        assert "data  no values yet\ndiff  no values yet" in text(blob)

        blob.diff[...] = 7
        blob.clear_diff()
        assert "diff  all 0" in text(blob)
        html(blob)
        assert blob.storages[1].cleared

    def test_a_blob_that_grew_is_not_given_memory(self):
        blob = Blob((2, 3))
        blob.data[...] = 1
        blob.reshape(5, 7)
        text(blob)
        html(blob)

        assert 6 == blob.memory.size

    @pytest.mark.parametrize(("values", "words"), [
        ([np.nan, 1, 3], "1 NaN; the other 2 numbers 1 to 3, mean 2: nan, 1, 3"),
        ([np.nan, np.inf, -np.inf, 2], "1 NaN and 2 infinite; the other 1 number all 2: nan, inf, -inf, 2"),
        ([np.nan, np.nan], "2 NaN: nan, nan"), ([5.0], "5"), ([], "no numbers"), ([4.0, 4.0], "all 4"),
        ([1.6e308, 1.2e308], "1.2e+308 to 1.6e+308, mean 1.4e+308: 1.6e+308, 1.2e+308")])
    def test_numbers_that_are_none(self, values, words):
        assert words == numbers.in_words(np.array(values))

    def test_large_arrays_are_looked_at_in_pieces(self):
        values = np.zeros(2 * numbers.BLOCK + 3)
        values[-1], values[0], values[numbers.BLOCK] = 9, -2, np.nan

        low, high, mean, nans, infinities = numbers.look(values)
        assert (-2, 9, 1, 0) == (low, high, nans, infinities)
        assert mean == pytest.approx(7 / (values.size - 1))

    def test_images_are_images(self):
        blob = Blob((5, 3, 20, 30))
        blob.data[...] = np.random.default_rng(1).normal(size=blob.shape)
        shown = blob._repr_html_()

        assert [("60", "40")] * 5 == images(shown)
        assert "data[:5]" in shown

    def test_everything_else_is_a_heat_map(self):
        blob = Blob((3, 40, 6, 4))
        blob.data[...] = 0.5
        blob.diff[0, :, 1, 2] = [np.nan, *np.arange(39)]
        shown = blob._repr_html_()

        assert 32 == len(images(shown))  # 16 of the data, 16 of the diff
        assert "data[0, :16]" in shown
        assert "diff[0, :16], from -14 in blue to 14 in red" in shown

    @pytest.mark.parametrize("shape", [(), (7,), (3, 0, 4, 5), (2, 1), (2, 3), (2, 3, 4), (1, 1, 1, 1), (2, 1, 500, 3),
                                       (1, 2, 3, 4, 5), (1, 3, 400, 500), (2, 1, 13, 12)])
    def test_any_shape(self, shape):
        """Nothing is caught here, unlike in _repr_html_."""
        blob = Blob(shape)
        blob.data[...] = np.nan
        blob.diff[...] = np.inf

        assert html(blob).startswith('<div class="minicaffe">')
        assert text(blob).startswith("Blob ")


class TestLayer:
    def test_fields_and_formulas(self):
        net = make(TRAINABLE)

        assert str(net.layers[4]) == """InnerProduct layer 'ip': p → ip
Set       inner_product_param { num_output: 2 weight_filler { type: "xavier" } }
Blobs     2×48, 2
""" + re.search(r"Forward.*?(?=\n\w+  )(?!\nBackward)", InnerProductLayer.__doc__.replace("\n    ", "\n"), re.DOTALL)[0]

    def test_a_notebook_has_its_first_sentence_too(self):
        shown = make(TRAINABLE).layers[2]._repr_html_()

        assert f"<p>{datasheet.summary('ReLU')}</p>" in shown
        assert "<pre>Forward   y = " in shown

    def test_weights_in_the_definition_are_not_shown(self):
        net = make(TRAINABLE)
        net.layers[4].layer_param.blobs.add(data=[1.0] * 10000)

        assert len(str(net.layers[4])) < 2000

    def test_a_users_layer_without_a_docstring(self):
        found = Plain(name="mine", bottom=["x"], top=["y"])

        assert "Plain layer 'mine': x → y" == str(found)
        assert "Plain layer" in html(found)

    @pytest.mark.parametrize("cls", [InnerProductLayer, Plain])
    def test_a_layer_without_a_net(self, cls):
        assert cls.type in text(cls())
        assert cls.type in html(cls())


class TestSolver:
    def test_before_and_after(self):
        solver = solver_of()
        assert "SGD solver of net ''\niteration  0 of 40" == str(solver)
        assert "<svg" not in solver._repr_html_()

        solver.step(20)
        rate, loss, curve = str(solver).splitlines()[2:]
        assert ["rate", "0.1"] == rate.split()
        assert f"{solver.loss:.4g}" == loss.split()[1] == curve.split()[-1]
        assert 20 == len(curve.split()[1])
        assert "<svg" in solver._repr_html_()

    def test_the_losses_do_not_depend_on_being_looked_at(self):
        one, other = solver_of("random_seed: 5"), solver_of("random_seed: 5")
        one.step(8)
        for _ in range(8):
            other.step(1)
            html(other)
            text(other.net)
            [html(blob) for blob in other.net.blobs.values()]

        assert one.losses.points == other.losses.points


class TestEverywhere:
    def test_a_repr_is_one_short_line(self):
        net, solver = make(TRAINABLE), solver_of()

        assert "<Net '': 6 layers>" == repr(net)
        assert "<ConvolutionLayer 'conv'>" == repr(net.layers[1])
        assert "Blob(4,)" == repr(Blob((4,)))
        assert "<SGDSolver of net '': iteration 0>" == repr(solver)

    @pytest.mark.parametrize("cls", [Net, pycaffe.Net, Blob, Layer, InnerProductLayer, Solver, type(solver_of())])
    def test_objects_whose_init_has_failed(self, cls):
        half = cls.__new__(cls)

        assert f"<{cls.__name__}: not made yet>" == repr(half) == str(half)
        assert half._repr_html_() is None

    def test_a_net_that_could_not_be_made(self):
        """A debugger shows the variables of the place where an error was raised."""
        with pytest.raises(NetError) as failed:
            make(layer("ReLU", "nowhere", "y"))
        half = next(step.frame.f_locals["self"] for step in failed.traceback
                    if isinstance(step.frame.f_locals.get("self"), Net))

        assert repr(half) == str(half) == "<Net: not made yet>"

    def test_signs_that_stdout_does_not_have(self, monkeypatch):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))

        print(Blob((2, 3)))
        assert as_text(Blob((2, 3))).startswith("Blob 2?3")

    def test_inside_of_a_list_ipython_shows_the_repr(self):
        said = []

        blob, printer = Blob((2, 3)), SimpleNamespace(text=said.append, stack=["a list", "the blob"])
        blob._repr_pretty_(printer, False)
        printer.stack = ["the blob"]
        blob._repr_pretty_(printer, False)
        blob._repr_pretty_(printer, True)
        assert ["Blob(2, 3)", text(blob), "Blob(2, 3)"] == said

    def test_each_kind_has_a_view(self):
        assert {Net, Blob, Layer, Solver} == set(Shown.__subclasses__())

    @pytest.mark.parametrize("columns", [60, 80, 120])
    def test_lines_fit_the_terminal(self, columns, monkeypatch):
        monkeypatch.setenv("COLUMNS", str(columns))
        solver = solver_of()
        solver.step(3)
        for thing in (solver, solver.net, *solver.net.layers, *solver.net.blobs.values()):
            assert max(map(len, str(thing).splitlines())) <= columns

    def test_the_prompt_of_python(self):
        """A value alone is shown in full, and is `_` from then on; a value in a list is short, others are as ever."""
        typed = "from minicaffe import Blob\nb = Blob((2, 3))\nb\n_ is b\n[b]\n'x'\nNone\n"
        run = subprocess.run([sys.executable, "-i", "-q"], input=typed, text=True, capture_output=True,
                             encoding="utf-8", env={**os.environ, "PYTHONIOENCODING": "utf-8"})

        assert ["Blob 2×3, float32", "data  no values yet", "diff  no values yet", "True", "[Blob(2, 3)]", "'x'"] \
            == run.stdout.splitlines()

    def test_a_program_keeps_its_own_way(self):
        said = "import sys, minicaffe.net; print(sys.displayhook is sys.__displayhook__)"
        assert "True" == subprocess.run([sys.executable, "-c", said], text=True, capture_output=True).stdout.strip()


class TestErrors:
    def test_the_message_and_the_line(self):
        def resize(blob):
            blob.reshape(-1, 2)

        with pytest.raises(LayerError) as failed:
            resize(Blob((2, 3)))
        shown = failed.value._render_traceback_()

        assert "\x1b[31mLayerError\x1b[0m: a blob's sizes cannot be negative, got (-1, 2)" == shown[0]
        assert shown[1].endswith("test_showing.py: resize(Blob((2, 3)))")
        assert shown[2].endswith("test_showing.py: blob.reshape(-1, 2)")
        assert 3 == len(shown)

    def test_cells_are_told_apart(self):
        space = {}
        exec(compile("def f(b):\n    b.reshape(-1)\n", "ipykernel_12/34.py", "exec"), space)
        with pytest.raises(LayerError) as failed:
            exec(compile("\nf(b)\n", "ipykernel_12/56.py", "exec"), {**space, "b": Blob()})
        assert ["  line 2 of this cell: ", "  line 2 of another cell: "] == failed.value._render_traceback_()[-2:]
