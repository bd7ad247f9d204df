"""`minicaffe draw`: the files, both phases in one drawing, and nets whose data is not there."""

import re
import xml.etree.ElementTree as ET

import pytest
from drawing_nets import SIAMESE, TWO_PHASES, resnet
from net_tools import inputs, layer

from minicaffe.cli.__main__ import main

SVG = "{http://www.w3.org/2000/svg}"


def draw(tmp_path, capsys, text, *flags, out="net.svg", status=0):
    """What the command prints, and the file that it writes."""
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    assert status == main(["draw", str(path), str(tmp_path / out), *flags])
    printed = capsys.readouterr()
    said = (printed.err if status else printed.out).replace(f"{tmp_path}/", "")
    return said, (tmp_path / out).read_text(encoding="utf-8") if status == 0 else ""


def layers(svg):
    """The titles of all layers."""
    return [g.find(f"{SVG}title").text for g in ET.fromstring(svg).iter(f"{SVG}g")
            if "layer" in g.get("class", "").split()]


def texts(svg):
    return [text.text for text in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize(("out", "begins"), [("net.svg", "<svg "), ("net.SVG", "<svg "), ("net.dot", "digraph "),
                                             ("net.html", "<!DOCTYPE html>")])
def test_files(tmp_path, capsys, out, begins):
    """The ending chooses the form, and the message says what is in the file."""
    said, text = draw(tmp_path, capsys, SIAMESE, out=out)

    assert text.startswith(begins)
    assert f"{out}: 8 layers\n" == said


def test_both_phases(tmp_path, capsys):
    """What one phase alone has is marked; data layers that replace each other stand in one box; N is the batch."""
    said, svg = draw(tmp_path, capsys, TWO_PHASES)
    found = layers(svg)

    assert 2 == sum(title.startswith("data, Data; ") for title in found)
    assert [title.split(",")[0] for title in found if "TRAIN only" in title] == ["data", "drop"]
    assert [title.split(",")[0] for title in found if "TEST only" in title] == ["data", "accuracy",
                                                                               "label_data_1_split", "ip_relu_0_split"]
    assert {"data N×3×8×8", "label N", "N×7", "N is 6 in TRAIN, 5 in TEST", "dashed: one phase only",
            "loss scalar", "accuracy scalar"} <= set(texts(svg))
    dashed = [p.get("d") for p in ET.fromstring(svg).iter(f"{SVG}path") if "some-phases" in p.get("class")]
    assert 2 == len(dashed)  # to the Accuracy: its scores and its labels
    assert "puts out 6×3×8×8; its source was not read" in said
    assert "puts out 5×3×8×8; its source was not read" in said


@pytest.mark.parametrize(("phase", "has", "has_not"), [("TRAIN", "drop, Dropout", "accuracy, Accuracy"),
                                                       ("test", "accuracy, Accuracy", "drop, Dropout")])
def test_one_phase(tmp_path, capsys, phase, has, has_not):
    """--phase draws that net alone, with the numbers of its batch."""
    _, svg = draw(tmp_path, capsys, TWO_PHASES, "--phase", phase)
    found = "\n".join(layers(svg))

    assert has in found
    assert has_not not in found
    assert "only" not in found
    assert {"TRAIN": "6×7", "test": "5×7"}[phase] in texts(svg)


def test_a_net_that_only_trains(tmp_path, capsys):
    """Where the net of one phase cannot be made, the other is drawn, and the message says why."""
    text = TWO_PHASES.replace("phase: TEST", "phase: TRAIN stage: 'never'")
    said, svg = draw(tmp_path, capsys, text)

    assert ("Only the net of TRAIN is drawn. The net of TEST cannot be made: layer 'ip' (InnerProduct): unknown "
            "bottom blob 'data' (bottom 0)") in " ".join(said.split())
    assert "6×7" in texts(svg)


def test_stages(tmp_path, capsys):
    """--stage takes in what belongs to a stage."""
    text = SIAMESE + layer("TanH", "flat", "extra", 'include { stage: "more" }')

    assert "extra, TanH" not in "\n".join(layers(draw(tmp_path, capsys, text)[1]))
    assert "extra, TanH" in "\n".join(layers(draw(tmp_path, capsys, text, "--stage", "more")[1]))


def test_data_of_unknown_size(tmp_path, capsys):
    """Without a size the net is drawn all the same, and the message says how shapes come in."""
    text = TWO_PHASES.replace("crop_size: 8", "")
    said, svg = draw(tmp_path, capsys, text)

    assert "Drawn without shapes and costs: layer 'data' (Data): its source TRAIN_db is not there" in said
    assert "give it: --size HxW" in " ".join(said.split())
    assert "9 layers" not in said
    assert "data N" not in texts(svg)
    assert {"data", "ip", "num_output 7", "accuracy"} <= set(texts(svg))
    sized, svg = draw(tmp_path, capsys, text, "--size", "4x6", "--batch", "3")
    assert "Drawn without" not in sized
    assert "data 3×3×4×6" in texts(svg)


def test_folding(tmp_path, capsys):
    """A large net is folded; --no-fold draws all of it."""
    said, svg = draw(tmp_path, capsys, resnet(3, 8))
    assert said.endswith("2 repeated blocks drawn once\n")
    assert "× 7" in texts(svg)
    said, whole = draw(tmp_path, capsys, resnet(3, 8), "--no-fold")
    assert "× 7" not in texts(whole)
    assert len(layers(whole)) > 2 * len(layers(svg))
    assert re.search(r": \d+ layers and \d+ Splits\n$", said)


@pytest.mark.parametrize(("text", "flags", "out", "words"), [
    (SIAMESE, [], "net.png", "net.png: a drawing ends in .html, .svg or .dot, got '.png'"),
    (SIAMESE, [], "net", "net: a drawing ends in .html, .svg or .dot, got no ending"),
    (SIAMESE, [], "net.svgz", "got '.svgz'\n  hint: did you mean '.svg'?"),
    (SIAMESE, [], "none/net.svg", "OUT: cannot write none/net.svg: '"),
    (SIAMESE, ["--size", "28"], "net.svg", "--size must be HxW or CxHxW, such as 227x227 or 1x28x28, got '28'"),
    (SIAMESE.replace('"Flatten"', '"Flaten"'), [], "net.svg", "layer 'flat' has the unknown type 'Flaten'"),
    (TWO_PHASES.replace("crop_size: 8", "").replace('"ReLU"', '"RELU"'), [], "net.svg",
     "net.prototxt:6: layer 'relu' has the unknown type 'RELU'"),
    (SIAMESE.replace('bottom: "pair"', 'bottom: "pairs"'), [], "net.svg",
     "net.prototxt:4: layer 'slice' (Slice): unknown bottom blob 'pairs' (bottom 0)\n  hint: did you mean 'pair'?"),
    (inputs(x=(2, 3)) + layer("Data", "", "d", "include { phase: TEST } exclude { phase: TRAIN }"), [], "net.svg",
     "net.prototxt:2: layer 'd' (Data) has both include and exclude rules")])
def test_errors(tmp_path, capsys, text, flags, out, words):
    """One message with the place and the cure, and no file."""
    said, _ = draw(tmp_path, capsys, text, *flags, out=out, status=1)

    assert words in said
    assert not (tmp_path / out).exists()


def test_an_old_drawing_stays_where_a_net_is_wrong(tmp_path, capsys):
    """The file is replaced when the new one is complete."""
    _, before = draw(tmp_path, capsys, SIAMESE)
    draw(tmp_path, capsys, "layer { name: 'x' type: 'No' }", status=1)

    assert before == (tmp_path / "net.svg").read_text(encoding="utf-8")
    assert {"net.prototxt", "net.svg"} == {file.name for file in tmp_path.iterdir()}
