"""Drawings for pycaffe's scripts: formats, graphviz, the command, and what pycaffe says of a layer."""

import stat
import sys

import pytest
from drawing_nets import SIAMESE, TWO_PHASES
from google.protobuf import text_format
from net_tools import inputs, layer

from minicaffe.errors import DataError, EngineError, MinicaffeError, NetError
from minicaffe.pycaffe import TEST, NetSpec, draw, draw_net
from minicaffe.pycaffe.proto import caffe_pb2

# Stands for graphviz: it says what it was asked for, and complains of one format and of another warns.
DOT = f"""#!{sys.executable}
import sys
if sys.argv[1:] == ["-Tbad"]:
    sys.exit('Format: "bad" not recognized')
if sys.argv[1:] == ["-Tgif"]:
    print("graph is too large", file=sys.stderr)
sys.stdout.write(" ".join(sys.argv[1:]) + "\\n" + sys.stdin.read())
"""


def net(text=SIAMESE):
    return text_format.Parse(text, caffe_pb2.NetParameter())


@pytest.fixture
def graphviz(tmp_path, monkeypatch):
    """A program `dot` on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "dot").write_text(DOT)
    (folder / "dot").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(folder))


@pytest.fixture
def no_graphviz(tmp_path, monkeypatch):
    """No program `dot` on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))


class TestFormats:
    @pytest.mark.usefixtures("no_graphviz")
    @pytest.mark.parametrize(("ending", "begins"), [("svg", "<svg "), ("html", "<!DOCTYPE html>"), ("dot", "digraph "),
                                                    ("gv", "digraph "), ("raw", "digraph "), ("SVG", "<svg ")])
    def test_what_needs_no_other_program(self, tmp_path, ending, begins):
        """The file's ending is its format, and draw_net returns the same bytes."""
        file = tmp_path / f"net.{ending}"
        draw.draw_net_to_file(net(), str(file))

        assert file.read_text(encoding="utf-8").startswith(begins)
        assert file.read_bytes() == draw.draw_net(net(), None, ending)

    @pytest.mark.usefixtures("graphviz")
    def test_what_graphviz_makes(self, tmp_path):
        """Other formats are made by graphviz, from left to right unless something else is said."""
        draw.draw_net_to_file(net(), tmp_path / "net.png")
        written = (tmp_path / "net.png").read_text(encoding="utf-8")

        assert written.startswith("-Tpng\ndigraph ")
        assert "rankdir=LR;" in written
        assert draw.draw_net(net(), "BT").decode() == written.replace("rankdir=LR", "rankdir=BT")
        assert b"rankdir" not in draw.draw_net(net(), "TB", "pdf")

    @pytest.mark.usefixtures("no_graphviz")
    def test_graphviz_is_missing(self, tmp_path):
        """The error says what is missing and what can be done without it, and no file is left."""
        with pytest.raises(EngineError, match="a drawing as png needs graphviz, .*\n  hint: install graphviz .*svg"):
            draw.draw_net_to_file(net(), tmp_path / "net.png")
        assert not (tmp_path / "net.png").exists()

    @pytest.mark.usefixtures("graphviz")
    def test_what_graphviz_says(self, caplog):
        """Its error is ours, and its warnings are shown."""
        with pytest.raises(DataError, match='graphviz made no bad: Format: "bad" not recognized'):
            draw.draw_net(net(), "LR", "bad")
        draw.draw_net(net(), "LR", "gif")
        assert "graphviz: graph is too large" in caplog.text

    @pytest.mark.usefixtures("graphviz")
    def test_an_svg_in_another_direction(self):
        """Our SVG goes from top to bottom; graphviz draws the other directions."""
        assert draw.draw_net(net(), "TB", "svg").startswith(b"<svg ")
        assert draw.draw_net(net(), "RL", "svg").startswith(b"-Tsvg\n")
        assert draw.get_pydot_graph(net(), "TB", label_edges=False).create_svg().startswith(b"-Tsvg\n")

    @pytest.mark.usefixtures("no_graphviz")
    def test_a_direction_that_needs_graphviz(self, caplog):
        """Where graphviz is missing, a warning says that the direction was not changed."""
        assert draw.draw_net(net(), "LR", "html").startswith(b"<!DOCTYPE html>")
        assert "an html is drawn from top to bottom, with labels" in caplog.text
        assert draw.draw_net(net(), "LR", "svg").startswith(b"<svg ")
        assert "an svg is drawn from top to bottom, with labels; another direction needs graphviz" in caplog.text

    def test_wrong_arguments(self, tmp_path):
        """An unknown direction, phase or file, and something that is no NetParameter, are errors."""
        with pytest.raises(DataError, match="rankdir must be one of TB, BT, LR, RL, got 'lr'\n  hint: .*'LR'"):
            draw.draw_net(net(), "lr")
        with pytest.raises(NetError, match=r"phase must be TRAIN \(0\), TEST \(1\) or None, got 2"):
            draw.draw_net(net(), "LR", "dot", 2)
        with pytest.raises(DataError, match=r"the ending of its name, and there is none\n  hint: \.svg"):
            draw.draw_net_to_file(net(), tmp_path / "net")
        with pytest.raises(NetError, match=r"got NetSpec\n  hint: draw spec.to_proto\(\)"):
            draw.draw_net(NetSpec(), "LR")
        with pytest.raises(MinicaffeError):
            draw.draw_net_to_file(net(), tmp_path / "no" / "folder.svg")


class TestGraph:
    def test_the_methods_of_pydot(self, tmp_path, graphviz):
        """The drawing has pydot's methods for writing it."""
        graph = draw.get_pydot_graph(net(), "TB")

        assert graph.to_string().startswith("digraph ")
        assert graph.create(format="dot") == graph.create_raw() == graph.to_string().encode()
        assert graph.create_png("dot") == graph.create("dot", "png") == b"-Tpng\n" + graph.create_dot()
        assert graph.write(str(tmp_path / "a.png")) is graph.write_svg(tmp_path / "b.svg") is True
        assert (tmp_path / "a.png").read_bytes() == graph.create_dot()  # the format is raw unless it is given
        assert (tmp_path / "b.svg").read_text(encoding="utf-8") == graph._repr_svg_()

    def test_what_it_has_not(self):
        """Another method is an AttributeError that leads to pydot; another program is an error."""
        graph = draw.get_pydot_graph(net(), "TB")

        with pytest.raises(AttributeError, match=r"has no 'get_nodes'; pydot.graph_from_dot_data\(graph.to_string"):
            graph.get_nodes()
        with pytest.raises(DataError, match="by graphviz's program 'dot', not by 'neato'"):
            graph.create_svg(prog="neato")

    def test_phases_and_lr_mult(self):
        """A phase chooses layers; display_lrm shows how fast weights learn."""
        both = draw.draw_net(net(TWO_PHASES), "LR", "dot", display_lrm=True).decode()
        test = draw.draw_net(net(TWO_PHASES), "LR", "dot", TEST).decode()
        bare = draw.get_pydot_graph(net(), "LR", label_edges=False).to_string()

        assert "drop (Dropout)" in both
        assert "lr_mult 1, 1" in both
        assert "drop (Dropout)" not in test
        assert "lr_mult" not in test
        assert "3×1×9×8" in draw.get_pydot_graph(net(), "LR").to_string()
        assert "3×1×9×8" not in bare

    def test_a_message_of_another_caffe_pb2(self):
        """A NetParameter of a generated caffe_pb2 is drawn like ours."""
        class Theirs:
            DESCRIPTOR = caffe_pb2.NetParameter.DESCRIPTOR

            def SerializeToString(self):  # noqa: N802  (protobuf's name)
                return net().SerializeToString()

        assert draw.draw_net(Theirs(), "LR", "dot") == draw.draw_net(net(), "LR", "dot")


class TestCommand:
    def test_it_draws(self, tmp_path, capsys, graphviz):
        """The flags are Caffe's."""
        (tmp_path / "net.prototxt").write_text(TWO_PHASES)
        out = tmp_path / "net.png"

        draw_net.main([str(tmp_path / "net.prototxt"), str(out), "--rankdir", "BT", "--phase", "TEST", "--display_lrm"])
        assert capsys.readouterr().out == f"Drawing net to {out}\n"
        text = out.read_text(encoding="utf-8")
        assert "rankdir=BT" in text
        assert "lr_mult" in text
        assert "Dropout" not in text

    def test_what_goes_wrong(self, tmp_path, no_graphviz):
        """A missing file, a wrong definition and a missing graphviz are errors that name it."""
        wrong = tmp_path / "wrong.prototxt"
        wrong.write_text("layr {}")
        (tmp_path / "net.prototxt").write_text(SIAMESE)
        for file, out, said in ((tmp_path / "none.prototxt", "a.svg", "none.prototxt"), (wrong, "a.svg", "layr"),
                                (tmp_path / "net.prototxt", "a", "ending of its name"),
                                (tmp_path / "net.prototxt", "no/a.svg", f"drawing: cannot write {tmp_path}"),
                                (tmp_path / "net.prototxt", "a.png", "a drawing as png needs graphviz")):
            with pytest.raises(MinicaffeError) as error:
                draw_net.main([str(file), str(tmp_path / out)])
            assert said in str(error.value)


def one(kind, rest=""):
    """The message of a layer of this type."""
    return net(inputs(x=(2, 3)) + layer(kind, "x", "y", rest)).layer[-1]


class TestWordsOfPycaffe:
    def test_layer_labels(self):
        """The parts are the name, the type, the window, and how fast weights learn."""
        conv = one("Convolution", "convolution_param { kernel_size: 3 kernel_size: 5 pad: 1 } "
                                  "param { lr_mult: 1 } param { lr_mult: 2 }")

        assert draw.get_layer_label(conv, "TB") == '"y (Convolution) kernel size: 3 stride: 1 pad: 1"'
        assert draw.get_layer_label(conv, "LR", display_lrm=True) == (
            r'"y\n(Convolution)\nkernel size: 3\nstride: 1\npad: 1\nlr mult: 1.0, 2.0"')
        assert draw.get_layer_label(one("Pooling", "pooling_param { pool: AVE kernel_size: 4 stride: 2 }"), "BT") == (
            '"y (Pooling AVE) kernel size: 4 stride: 2 pad: 0"')
        assert draw.get_layer_label(one("InnerProduct", "param { lr_mult: 0 } param { lr_mult: 0 }"), "TB", True) == (
            '"y (InnerProduct)"')
        assert draw.get_layer_label(one("ReLU"), "LR", display_lrm=True) == r'"y\n(ReLU)"'

    def test_edge_labels(self):
        """How many outputs or samples a layer puts out, where the definition says it."""
        assert draw.get_edge_label(one("Data", "data_param { batch_size: 7 }")) == "Batch 7"
        assert draw.get_edge_label(one("Deconvolution", "convolution_param { num_output: 5 }")) == "5"
        assert draw.get_edge_label(one("InnerProduct", "inner_product_param { num_output: 6 }")) == "6"
        assert draw.get_edge_label(one("ReLU")) == '""'

    def test_lr_mults(self):
        """Two numbers, 1 where none is given; other layers have none."""
        assert draw.get_layer_lr_mult(one("InnerProduct")) == (1, 1)
        assert draw.get_layer_lr_mult(one("InnerProduct", "param { lr_mult: 3 }")) == (3, 1)
        with pytest.raises(ValueError, match="a ReLU layer has no weights and bias, so it has no lr_mult"):
            draw.get_layer_lr_mult(one("ReLU"))
        with pytest.raises(ValueError, match="layer 'y' .* 3 params"):
            draw.get_layer_lr_mult(one("Convolution", "param {} param {} param {}"))

    def test_names_and_colours(self):
        """The pooling methods by number, and a colour for each kind of layer."""
        assert {key: draw.get_pooling_types_dict()[key] for key in range(3)} == {0: "MAX", 1: "AVE", 2: "STOCHASTIC"}
        colours = [draw.choose_color_by_layertype(kind) for kind in ("Convolution", "Pooling", "InnerProduct", "ReLU")]
        assert len(set(colours)) == 4
        assert colours[0] == draw.choose_color_by_layertype("Deconvolution")
