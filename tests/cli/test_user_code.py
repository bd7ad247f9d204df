"""`--import` and installed packages: a user's own layer types and fillers in every command."""

import json
import subprocess
import sys

import numpy as np
import pytest
import yaml
from net_tools import inputs, layer
from user_types import forgotten, half, install

from minicaffe import LayerError, Net, kernels, register
from minicaffe import pycaffe as caffe
from minicaffe.cli import warm
from minicaffe.cli.__main__ import COMMANDS, main, parser_of
from minicaffe.layer import Layer, layer_class
from minicaffe.proto import TEST

FILLER = 'inner_product_param { num_output: 3 weight_filler { type: "middle" min: 1 max: 2 } }'
NUMBERS = 'dummy_data_param { shape { dim: 2 dim: 3 } data_filler { type: "constant" value: 2 } }'
STUB = "; minicaffe stub Half net.prototxt --phase TRAIN writes a Python layer to fill in"
NET = layer("DummyData", "", "x", NUMBERS) + layer("DummyData", "", "t", NUMBERS) \
    + layer("InnerProduct", "x", "f", FILLER) + layer("Half", "f", "h") + layer("EuclideanLoss", "h t", "loss")
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1 snapshot_prefix: "s"'
COMMAND_LINES = {
    "train": ["--solver", "solver.prototxt"], "time": ["--model", "net.prototxt", "--iterations", "1"],
    "test": ["--model", "net.prototxt", "--weights", "w.npz", "--iterations", "1"], "summary": ["net.prototxt"],
    "convert": ["w.npz", "w.caffemodel", "--model", "net.prototxt"], "warm": ["net.prototxt"], "layers": ["half"],
    "explain": ["half"], "extract_features": ["w.npz", "net.prototxt", "h", "f.npz", "1"],
    "lint": ["net.prototxt"], "check": ["net.prototxt"], "draw": ["net.prototxt", "net.svg"],
    "deploy": ["net.prototxt", "out.prototxt"], "trace": ["net.prototxt", "--out", "t.html"]}


@pytest.fixture(autouse=True)
def own_types(folder, capsys):
    """A folder with a module of own types, which no command knows of yet."""
    (folder / "own.py").write_text(half())
    with forgotten():
        yield folder


@pytest.fixture
def installed(folder, monkeypatch):
    """A folder on sys.path, such as pip installs into, with a package that brings the net's types."""
    place = folder / "installed"
    place.mkdir()
    install(place, "half-layers", "half_layers", half())
    monkeypatch.syspath_prepend(str(place))
    return place


def error_of(capsys, *command):
    """What a command says as it fails, without "minicaffe: error: " and with the folder as DIR."""
    assert main([*command]) == 1
    return capsys.readouterr().err.rpartition("minicaffe: error: ")[2].strip()


@pytest.mark.parametrize("module", ["own", "own.py", "./own.py"])
@pytest.mark.parametrize("command", list(COMMAND_LINES))
def test_each_command_knows_the_types(folder, capsys, command, module, monkeypatch):
    """Without the flag the type is unknown, with it the command works: by the module's name or by its file."""
    monkeypatch.setattr(warm, "compile_all", lambda engine: None)  # takes a minute where nothing is in the cache
    if command == "warm" and kernels.engine() == "numpy":
        pytest.skip("the engine numpy has nothing to warm")
    with forgotten():
        main(["summary", "net.prototxt", "--import", "own"])
        caffe.Net("net.prototxt").save("w.npz")
    assert main([command, *COMMAND_LINES[command]]) == 1
    said = capsys.readouterr()
    assert "type 'Half'" in (said.out if command == "lint" else said.err) or command in ("layers", "explain")

    assert main([command, *COMMAND_LINES[command], "--import", module]) == 0


def test_every_command_with_no_python_has_import():
    """The two flags come together, so that a command which is added later has both."""
    flags = {name: {flag for action in parser_of(name)[1]._actions for flag in action.option_strings}
             for name in COMMANDS}

    assert {name for name in flags if "--no-python" in flags[name]} == {*COMMAND_LINES, "replay", "schema", "data",
                                                                         "stub", "classify"}
    assert all(("--import" in found) == ("--no-python" in found) for found in flags.values())


def test_the_numbers_are_those_of_the_own_types(folder):
    """The filler fills, and the layer computes."""
    main(["summary", "net.prototxt", "--import", "own"])
    net = Net("net.prototxt", TEST)
    net.forward()

    np.testing.assert_allclose(np.full((2, 3), (2 + 2 + 2) * 1.5 / 2), net.blobs["h"].data)


@pytest.mark.parametrize(("name", "says"), [
    ("onw", "--import onw: there is no module 'onw'\n  hint: looked for it in DIR, and among the installed modules; "
            "did you mean 'own'?"),
    ("package.onw", "--import package.onw: there is no module 'package.onw'\n  hint: looked for it in the package "
                    "package; did you mean 'own'?"),
    ("own.half", "--import own.half: there is no module 'own.half'\n  hint: looked for it in own, which is a module "
                 "and not a package"),
    ("onw.py", "--import onw.py: there is no such file\n  hint: looked for it in DIR; did you mean 'own.py'"),
    ("nowhere/own.py", "--import nowhere/own.py: there is no such file\n  hint: there is no folder 'nowhere'"),
    ("package/", "--import package: this is a folder, not a file\n  hint: give the path of a .py file, or the name "
                 "of a package"),
    ("net/net.prototxt", "--import net/net.prototxt: this is not a Python file\n  hint: its name must end in .py"),
    ("own,other", "--import own,other: this is not a module's name\n  hint: give the flag once for each module: "
                  "--import own --import other"),
    ("my-own", "--import my-own: this is not a module's name\n  hint: for the file of this name, write --import "
               "my-own.py"),
    ("random.py", "--import random.py: 'random' is the name of a module of Python's own, which it would hide\n  hint: "
                  "give the file another name"),
    ("divides", "divides.py:4: --import divides: the module cannot be imported: ZeroDivisionError: division by zero"),
    ("divides.py", "divides.py:4: --import divides.py: the module cannot be imported: ZeroDivisionError: division by "
                   "zero"),
    ("within", "within.py:2: --import within: the module cannot be imported: ValueError: negative dimensions are not "
               "allowed"),
    ("needs", "needs.py:1: --import needs: the module cannot be imported: ModuleNotFoundError: No module named "
              "'torchless'"),
    ("broken", "broken.py:1: --import broken: the module cannot be imported: SyntaxError: "),
    ("ends", "ends.py:1: --import ends: the module cannot be imported: SystemExit: 3"),
    ("takes", "takes.py:4: --import takes: the module cannot be imported: layer type 'ReLU' is registered twice: in "
              "minicaffe.layers.activation.relu and in takes"),
    ("fills", "fills.py:3: --import fills: the module cannot be imported: filler 'gaussian' is registered twice: in "
              "minicaffe.filler and in fills")])
def test_a_module_that_cannot_be_imported(folder, capsys, name, says):
    """One message with the place and the cause, and no traceback."""
    (folder / "package").mkdir()
    (folder / "net").mkdir()
    (folder / "net" / "net.prototxt").write_text("")
    for file, text in {"package/__init__": "", "package/own": "", "my-own": "", "random": "",
                       "divides": "def f():\n    # the line that is named\n\n    return 1 / 0\n\nf()",
                       "within": "import numpy as np\nnp.zeros(-1)", "needs": "import torchless",
                       "broken": "def f(:", "ends": "raise SystemExit(3)",
                       "takes": "from minicaffe import Layer, register\n\n\n@register('ReLU')\nclass ReLULayer(Layer):"
                                "\n    pass\n",
                       "fills": "from minicaffe import register_filler\n\n"
                                "register_filler('gaussian')(lambda *_: None)"}.items():
        (folder / f"{file}.py").write_text(text)
    found = error_of(capsys, "summary", "net.prototxt", "--import", name).replace(str(folder), "DIR")

    assert found.startswith(says)
    assert "Traceback" not in found


def test_a_file_with_the_name_of_a_loaded_module(folder, capsys):
    """Two modules of one name cannot be loaded at once."""
    (folder / "numpy.py").write_text(half())

    assert "--import numpy.py: another module with the name 'numpy' is loaded already, from " \
        in error_of(capsys, "summary", "net.prototxt", "--import", "numpy.py")


@pytest.mark.parametrize("name", ["nothing", "nothing.py", "random"])
def test_a_module_that_registers_nothing(folder, caplog, name):
    """A warning: the wrong module may have been found, so its file is named."""
    (folder / "nothing.py").write_text("")
    main(["layers", "ReLU", "--import", name])

    assert caplog.messages[0].startswith(f"--import {name} brings nothing: the module {name.removesuffix('.py')} (")


def test_modules_that_bring_something_are_not_warned_of(folder, caplog):
    """A module is imported once, however often and in whatever way it is named; it may leave the work to others."""
    (folder / "all_of_them.py").write_text("import own")
    (folder / "folder").mkdir()
    (folder / "folder" / "beside.py").write_text(half("Third", "third"))
    (folder / "folder" / "reads.py").write_text("import beside")
    names = ["all_of_them", "own", "own.py", "own", "folder/reads.py"]

    assert main(["layers", "ReLU", *[word for name in names for word in ("--import", name)]]) == 0
    assert caplog.messages == []


def test_import_and_no_python_contradict_each_other(folder, capsys):
    """The module does not run."""
    (folder / "own.py").write_text("open('it_ran', 'w').close()")

    assert error_of(capsys, "summary", "net.prototxt", "--no-python", "--import", "own") == \
        "--import own runs the code of a module, and --no-python forbids that: give one of the two"
    assert not (folder / "it_ran").exists()


def test_an_unknown_type_or_filler_has_a_hint(folder, capsys):
    """Where no known name is near, the message says how more types become known."""
    cure = "--import MODULE makes types of your own known (in Python: import the module first)"
    assert error_of(capsys, "summary", "net.prototxt") == \
        "net.prototxt:4: layer 'h' has the unknown type 'Half'\n  hint: minicaffe layers lists all known types; " + cure + STUB
    (folder / "net.prototxt").write_text(NET.replace('"Half"', '"ReLU"'))
    assert error_of(capsys, "summary", "net.prototxt").endswith(f"got 'middle'\n  hint: {cure}")


@pytest.mark.parametrize(("text", "says"), [
    ("x / 2", "NameError: name 'x' is not defined\n  File \"DIR/own.py\", line 15, in forward\n"),
    ("bottom[0].data + [0, 0]", "ValueError: operands could not be broadcast together")])
def test_an_error_in_the_own_layer(folder, capsys, text, says):
    """It is the message of the layer, with the user's part of the traceback; the net's line is named."""
    (folder / "own.py").write_text(half().replace("bottom[0].data / 2", text))
    found = error_of(capsys, "time", "--model", "net.prototxt", "--iterations", "1", "--import", "own")

    assert found.replace(str(folder), "DIR").startswith(f"net.prototxt:4: layer 'h' (Half): {says}")
    assert "minicaffe/" not in found


def test_an_error_in_the_own_filler(folder, capsys):
    """The error is in the user's filler, though the layer that it fills is one of ours."""
    (folder / "own.py").write_text(half().replace("(p.min + p.max) / 2", "p.mini"))

    found = error_of(capsys, "time", "--model", "net.prototxt", "--import", "own")

    assert found.startswith("net.prototxt:3: layer 'f' (InnerProduct): AttributeError: mini\n")
    assert ", in fill\n    values[...] = p.mini\n" in f"{found}\n"


def test_a_method_that_is_not_written(folder, capsys):
    """No line of the user's is to blame: a method is missing."""
    (folder / "own.py").write_text(half().replace("def forward", "def froward"))

    assert error_of(capsys, "time", "--model", "net.prototxt", "--iterations", "1", "--import", "own") == \
        "net.prototxt:4: layer 'h' (Half): NotImplementedError: HalfLayer.forward\n  hint: a layer must write " \
        "reshape and forward, and backward where a gradient passes through it"


def test_a_program_gets_its_own_errors(folder):
    """Where a program imported the module itself, its layer's error is not turned into another."""

    @register("Bad")
    class BadLayer(Layer):
        def reshape(self, bottom, top):
            raise KeyError("mine")

    (folder / "bad.prototxt").write_text(inputs(x=(2, 3)) + layer("Bad", "x", "y"))
    with pytest.raises(KeyError, match="mine"):
        Net("bad.prototxt")


def test_layers_lists_where_types_come_from(folder, installed, capsys, monkeypatch):
    """After the families stand the modules and packages from outside, each with its types and fillers."""
    monkeypatch.setenv("COLUMNS", "300")
    (folder / "own.py").write_text(half("Third", "third").replace("Half of", "A third of"))
    assert main(["layers", "--import", "own"]) == 0
    listed = [" ".join(line.split()) for line in capsys.readouterr().out.split("\n")]
    at = listed.index("from the module own (own.py)")

    assert listed[at + 1:at + 3] == ["Third A third of each number.", "third Filler: Half-way between min and max."]
    assert listed[at + 4:at + 7] == ["from the package half-layers 0.3, module half_layers (installed/half_layers.py)",
                                     "Half Half of each number.", "middle Filler: Half-way between min and max."]
    assert main(["layers", "half"]) == 0
    assert capsys.readouterr().out.startswith("Half, a layer from the package half-layers 0.3, module half_layers "
                                              "(installed/half_layers.py)\n\nHalf of each number.\n\nForward")


def test_schema_holds_the_types(folder, installed, capsys):
    """A schema offers the types and fillers of --import and of installed packages; with --no-python it holds ours."""
    (folder / "own.py").write_text(half("Third", "third"))

    def offered(*flags):
        assert main(["schema", *flags]) == 0
        found = json.loads(capsys.readouterr().out)["definitions"]
        return {word for message in ("LayerParameter", "FillerParameter")
                for word in found[message]["properties"]["type"]["anyOf"][0]["enum"]}

    ours = offered("--no-python")

    assert {"Third", "third", "Half", "middle"} == offered("--import", "own") - ours
    assert {"ReLU", "xavier"} < ours


def test_explain_shows_the_own_code(folder, capsys):
    """The page of a type from outside has its datasheet and its code, with the place of its file."""
    assert main(["explain", "half", "--import", "own"]) == 0
    page = capsys.readouterr().out

    assert page.startswith("Half: own.py\n\nHalf of each number.")
    assert "top[0].data[...] = bottom[0].data / 2" in page


ODD = """
import numpy as np
from minicaffe import register
from minicaffe.layer import Elementwise, Layer


@register("Odd")
class OddLayer(Elementwise):
    value = staticmethod(np.tan)
    slope = lambda self, x: 1 + np.tan(x) ** 2


exec('''
@register("Made")
class MadeLayer(Layer):
    def forward(self, bottom, top):
        top[0].data[...] = 1
''')
"""


def test_explain_a_type_with_no_code_to_show(folder, capsys):
    """Compiled functions are left out, lambdas are shown, and a class made by exec has no code to show."""
    (folder / "odd.py").write_text(ODD)
    assert main(["explain", "odd", "--import", "odd"]) == 0
    page = capsys.readouterr().out

    assert "OddLayer.slope in odd.py:\n  slope = lambda self, x: 1 + np.tan(x) ** 2\n" in page
    assert "OddLayer.value" not in page
    assert main(["explain", "made", "--import", "odd"]) == 0
    assert capsys.readouterr().out == "Made: odd.py\n"


def test_a_type_without_docstring(folder, capsys, monkeypatch):
    """It is listed with its name alone, not with the docstring of Layer."""
    text = half()
    (folder / "own.py").write_text(text[:text.index('    """Half')] + text[text.index("    def reshape"):])
    assert main(["layers", "--import", "own"]) == 0
    assert "\n  Half\n" in capsys.readouterr().out
    assert main(["layers", "half", "--import", "own"]) == 0
    assert capsys.readouterr().out.split("\n", 1)[1] == ""


def test_an_installed_package_brings_types(installed, capsys):
    """They are known as soon as a net asks for them, without a flag."""
    assert main(["time", "--model", "net.prototxt", "--iterations", "1"]) == 0
    assert Net("net.prototxt").layers[3].type == "Half"


def test_an_installed_filler_alone(installed, folder):
    """A filler that nobody knows is looked for in installed packages, too."""
    (folder / "net.prototxt").write_text(NET.replace('"Half"', '"ReLU"'))

    assert np.all(Net("net.prototxt").params["f"][0].data == 1.5)


def test_a_known_type_needs_no_package(installed, capsys):
    """The datasheet of one of ours is printed without running the code of others."""
    assert main(["layers", "relu"]) == 0
    assert "half_layers" not in sys.modules


def test_installed_packages_are_not_loaded_before_they_are_needed(installed):
    """Neither the import of minicaffe nor a net of known types runs them."""
    (installed / "half_layers.py").write_text("raise RuntimeError")
    code = "import sys, minicaffe.layers, minicaffe.net; minicaffe.layers.ReLULayer()\n" \
           "assert 'half_layers' not in sys.modules and 'importlib.metadata' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(installed)})


def test_a_broken_package_is_a_warning(installed, caplog):
    """It is named with what went wrong, and the others still work."""
    install(installed, "a-broken-one", "a_broken_one", "import os\nraise RuntimeError('no device')")
    install(installed, "missing", "missing", "")
    (installed / "missing.py").unlink()
    install(installed, "taking-ours", "taking_ours", half("ReLU"))
    install(installed, "unfinished", "unfinished", "")
    assert main(["summary", "net.prototxt"]) == 0

    assert caplog.messages == [
        "the installed package a-broken-one 0.3 brings no layer types: its entry point any = a_broken_one cannot be "
        "imported: RuntimeError: no device (installed/a_broken_one.py:2)",
        "the installed package missing 0.3 brings no layer types: its entry point any = missing cannot be imported: "
        "ModuleNotFoundError: No module named 'missing'",
        "the installed package taking-ours 0.3 brings no layer types: its entry point any = taking_ours cannot be "
        "imported: layer type 'ReLU' is registered twice: in minicaffe.layers.activation.relu and in taking_ours "
        "(installed/taking_ours.py:4)",
        "the installed package unfinished 0.3 brings no layer types: its entry point any = unfinished registers none, "
        "and no filler"]


def test_no_python_loads_no_package(installed, capsys):
    """A type that only a package may bring is an error that names the packages which were not loaded."""
    hint = "installed packages bring further types, but are not loaded with --no-python (in Python: " \
           "allow_python=False): half-layers 0.3"
    assert error_of(capsys, "summary", "net.prototxt", "--no-python") == \
        f"net.prototxt:4: layer 'h' has the unknown type 'Half'\n  hint: minicaffe layers lists all known types; {hint}{STUB}"
    assert main(["layers", "--no-python"]) == 0
    assert "\n\nNot loaded, because of --no-python: half-layers 0.3.\n" in capsys.readouterr().out
    assert "half_layers" not in sys.modules
    with pytest.raises(LayerError, match="unknown type 'Half'"):
        Net("net.prototxt", allow_python=False)


def test_what_a_package_has_brought_is_refused_too(installed, folder, capsys):
    """Whether another net has loaded the package before makes no difference."""
    Net("net.prototxt")
    with pytest.raises(LayerError, match=r"net.prototxt:4: layer 'h' \(Half\) would run the code of the installed "
                                         r"package half-layers 0.3, which brings the layer type 'Half'"):
        Net("net.prototxt", allow_python=False)
    (folder / "net.prototxt").write_text(NET.replace('"Half"', '"ReLU"'))
    with pytest.raises(LayerError, match=r"layer 'f' \(InnerProduct\): the filler 'middle' would run the code of the "
                                         "installed package half-layers 0.3"):
        Net("net.prototxt", allow_python=False)
    assert main(["layers", "--no-python"]) == 0
    assert "half_layers" not in capsys.readouterr().out


def test_what_a_program_has_imported_may_be_used(folder):
    """allow_python=False is about code that a file names, not about the program's own."""

    @register("Mine")
    class MineLayer(Layer):
        def reshape(self, bottom, top):
            top[0].reshape_like(bottom[0])

    (folder / "mine.prototxt").write_text(inputs(x=(2, 3)) + layer("Mine", "x", "y"))

    assert Net("mine.prototxt", allow_python=False).layers[1].type == "Mine"


def test_run_yaml_names_the_modules(folder, installed):
    """run.yaml says what the training imported, also after it was resumed."""
    (folder / "own.py").write_text(half("Third", "third"))
    assert main(["train", "--solver", "solver.prototxt", "--import", "own"]) == 0
    assert main(["train", "--solver", "solver.prototxt", "--import", "own", "--resume", "auto",
                 "--iterations", "2"]) == 0
    facts = yaml.safe_load((folder / "s.run" / "run.yaml").read_text())
    wanted = [{"module": "own", "file": str(folder / "own.py"), "from": "--import", "registers": ["Third", "third"]},
              {"module": "half_layers", "file": str(installed / "half_layers.py"), "from": "half-layers 0.3",
               "registers": ["Half", "middle"]}]

    assert facts["imports"] == wanted == facts["earlier"][0]["imports"]


def test_run_yaml_without_modules_has_no_list_of_them(folder):
    """A training that imports no module writes the same keys as before --import existed."""
    (folder / "plain.prototxt").write_text(
        'layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "y" type: "InnerProduct" bottom: "x" top: "y" loss_weight: 1 '
        'inner_product_param { num_output: 1 } }')
    (folder / "solver.prototxt").write_text(
        'net: "plain.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1 snapshot_prefix: "s"')
    with forgotten():
        assert main(["train", "--solver", "solver.prototxt"]) == 0
    facts = yaml.safe_load((folder / "s.run" / "run.yaml").read_text())

    assert list(facts) == ["started", "iteration", "seed", "versions", "solver", "net", "data"]


def test_a_failure_is_replayed_with_the_same_module(folder, capsys):
    """The net in a failure file needs the layer types of the training."""
    (folder / "own.py").write_text(half().replace("bottom[0].data / 2", "bottom[0].data / 0"))
    with forgotten():
        assert main(["train", "--solver", "solver.prototxt", "--import", "own"]) == 1
    failure = str(next(folder.glob("*_failure.npz")))

    assert "layer 'h' has the unknown type 'Half'" in error_of(capsys, "replay", failure)
    assert main(["replay", failure, "--import", "own"]) == 0
    assert "\nreplayed: not finite, first in top blob 'h' of layer 'h' (Half)" in capsys.readouterr().out


def test_a_type_keeps_its_class(installed):
    """layer_class finds what a package brings without a net, too."""
    assert layer_class("Half").__module__ == "half_layers"
