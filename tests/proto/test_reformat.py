"""Prototxts laid out anew: what moves, what stays, and that nothing else is said."""

import random

import pytest

from minicaffe.errors import MinicaffeError, ProtoError
from minicaffe.proto import NetParameter, SolverParameter, reformat, text
from minicaffe.proto.source import TOKEN

ODD = """
# first line

name: "odd"   ; # trailing name


layer { name: 'a' type: "Input" top: "x" input_param { shape: { dim: [1, 2,3] } } } layer { name: "b" # b's name
  type : "Convolution", bottom:"x" top: "y"
  # own line in block

  convolution_param < num_output:3 kernel_size: [ 1, # one
    # before two
    2 ] # after list
    weight_filler { type: "gaus" "sian" std: 1e-2 } >; } # end of b
layer
{
  name: "c#d"
      "e" # part
   # between
   'f\\'g'  # last
  type: # before value
    "ReLU" bottom: "y" top: "y"
  relu_param {
  }
  include { # phase
    phase: TRAIN }

  loss_weight: [ ]


  # last in block
}
# end"""

LAID_OUT = """\
# first line

name: "odd"  # trailing name

layer { name: 'a' type: "Input" top: "x" input_param { shape { dim: [1, 2, 3] } } }
layer {
  name: "b"  # b's name
  type: "Convolution"
  bottom: "x"
  top: "y"
  # own line in block

  convolution_param {
    num_output: 3
    kernel_size: [
      1,  # one
      # before two
      2
    ]  # after list
    weight_filler { type: "gaus" "sian" std: 1e-2 }
  }
}  # end of b
layer {
  name: "c#d"
      "e"  # part
      # between
      'f\\'g'  # last
  # before value
  type: "ReLU"
  bottom: "y"
  top: "y"
  relu_param {}
  include {  # phase
    phase: TRAIN
  }

  loss_weight: []

  # last in block
}
# end
"""


def test_odd_spellings():
    """Lists, angle brackets, separators, strings in parts, and comments wherever one may stand."""
    made = reformat.reformat(ODD, NetParameter())

    assert LAID_OUT == made
    assert text.parse(ODD, NetParameter()) == text.parse(made, NetParameter())
    assert made == reformat.reformat(made, NetParameter())


@pytest.mark.parametrize(("given", "expected"), [
    ("", ""),
    ("\n\n", ""),
    ("# alone", "# alone\n"),
    ("name: 'a'\r\n\r\n\r\nlayer {\r\n}\r\n", "name: 'a'\r\n\r\nlayer {}\r\n"),
    ("layer{}layer{}", "layer {}\nlayer {}\n"),
    ("layer: [{name: 'a'}, {name: 'b'}]", "layer: [{ name: 'a' }, { name: 'b' }]\n"),
    ("layer: [{name: 'a'},\n <name: 'b'>]", "layer: [\n  { name: 'a' },\n  { name: 'b' }\n]\n"),
    ("layer {  # a\n}", "layer {  # a\n}\n"),
    ("layer { loss_weight: [ # a\n ] }", "layer {\n  loss_weight: [  # a\n  ]\n}\n"),
    ("layer # a\n{ name: 'b' }", "# a\nlayer { name: 'b' }\n"),
    ("name: 'a' # b\n ; # c\n", "name: 'a'  # b\n# c\n"),
    ("name:\n'a'\n\n\n'b'", "name: 'a'\n    'b'\n"),
    ("layer {\n\n  name: 'a'\n\n}", "layer {\n  name: 'a'\n}\n"),
    ("layer { loss_weight: -1.50e+3 }", "layer { loss_weight: -1.50e+3 }\n"),
    ("name: 'a \\\\' # \"b\"\n", "name: 'a \\\\'  # \"b\"\n"),
])
def test_small_texts(given, expected):
    """Each is laid out as it should be, once and for all."""
    assert expected == reformat.reformat(given, NetParameter())
    assert expected == reformat.reformat(expected, NetParameter())


def test_a_long_line_is_broken():
    """A message on one line stays so up to 120 letters, with its margin."""
    short = f"layer {{ name: {'x' * 100!r} }}"
    long = f"layer {{ name: {'x' * 104!r} }}"

    assert f"{short}\n" == reformat.reformat(short, NetParameter())
    assert f"layer {{\n  name: {'x' * 104!r}\n}}\n" == reformat.reformat(long, NetParameter())


def test_the_errors_of_a_text_are_those_of_parsing():
    """What is no net has its place; a solver is read as one."""
    with pytest.raises(ProtoError, match=r"^n\.prototxt:2:1: NetParameter has no field 'nam'"):
        reformat.reformat('name: "a"\nnam: "b"', NetParameter(), "n.prototxt")
    assert "base_lr: 0.1\n" == reformat.reformat("base_lr:0.1", SolverParameter())


@pytest.mark.parametrize("mistake", ["name: 'b'  # c", "name: 'a'"])
def test_a_text_that_would_change_is_left(mistake, monkeypatch):
    """Whatever is wrong in laying out, a value that changes and a comment that gets lost are found."""
    monkeypatch.setattr(reformat, "_lines", lambda items, level: [mistake])
    with pytest.raises(MinicaffeError, match=r"^n\.prototxt: the formatted text would not say the same"):
        reformat.reformat("name: 'a'  # c", NetParameter(), "n.prototxt")


@pytest.mark.parametrize("seed", range(200))
def test_random_layouts(seed):
    """Comments, empty lines, tabs and line ends of both kinds between any two words: all comments stay, in order."""
    pick = random.Random(seed)
    line_end, often = pick.choice(["\n", "\r\n"]), pick.choice([0, 0.05, 0.5])
    words = [found.group() for found in TOKEN.finditer(ODD) if found.lastgroup not in ("space", "comment")]
    comments, parts = [], []
    for word in ["", *words]:
        parts += [word, pick.choice([" ", "\t", "\f", line_end, "  " + line_end * 4])]
        while pick.random() < often:
            comments.append("#" + "".join(pick.choices("x é{}[]<>#'\"\\,;:\u2028", k=pick.randrange(9))).rstrip(" "))
            parts += [comments[-1], pick.choice(["", " ", "\t"]), line_end, pick.choice(["", "  ", line_end * 3])]
    given = "".join(parts)
    made = reformat.reformat(given, NetParameter())

    assert text.parse(ODD, NetParameter()) == text.parse(given, NetParameter()) == text.parse(made, NetParameter())
    assert comments == [found.group().rstrip("\r") for found in TOKEN.finditer(made) if found.lastgroup == "comment"]
    assert made == reformat.reformat(made, NetParameter())
