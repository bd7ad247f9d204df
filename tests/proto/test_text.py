"""Prototxt in and out, and what its errors tell."""

import os

import pytest

from minicaffe import proto
from minicaffe.errors import DataError, ProtoError
from minicaffe.io import files, prototxt
from minicaffe.io.sniff import sniff
from minicaffe.proto import text

LENET = """name: "LeNet"  # 中文
layer {
  name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  param { lr_mult: 1 }
  param { lr_mult: 2 }
  convolution_param {
    num_output: 20 kernel_size: [5, 5]
    weight_filler < type: 'xa' "vier" >
  }
}
layer: [{ name: "prob" type: "Softmax"
  softmax_param { engine: CAFFE } }]
"""


def test_prototxt_in_all_its_spellings():
    """Lists, angle brackets, colons before messages and split strings are read."""
    net = text.parse(LENET, proto.NetParameter())

    assert [layer.name for layer in net.layer] == ["conv1", "prob"]
    assert list(net.layer[0].convolution_param.kernel_size) == [5, 5]
    assert net.layer[0].convolution_param.weight_filler.type == "xavier"
    assert net.layer[1].softmax_param.engine == proto.SoftmaxParameter.CAFFE


def test_format_is_caffes_debug_string():
    """A message is written with two spaces a level, the shortest floats, and a default only when it was set."""
    layer = proto.LayerParameter(name="ip", blobs=[proto.BlobProto(shape=proto.BlobShape(dim=[2, 7]))])
    layer.param.add(lr_mult=0.1)
    layer.param.add(lr_mult=1)

    assert text.format(layer) == (
        'name: "ip"\nparam {\n  lr_mult: 0.1\n}\nparam {\n  lr_mult: 1\n}\n'
        "blobs {\n  shape {\n    dim: 2\n    dim: 7\n  }\n}\n"
    ).replace("lr_mult: 1\n", "lr_mult: 1.0\n")


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ('layer {\n  botom: "x"\n}', ["net.prototxt:2:3", "no field 'botom'", ' botom: "x"\n      ^', "mean 'bottom'"]),
        ("layer { triplet_loss_param {} }", ["1:9", "'triplet_loss_param' belongs to the face recognition forks"]),
        ("layer { transform_param { color_order: BGR } }", ["1:27", "'color_order' belongs to MyCaffe"]),
        ("layer { poling_param { } }", ["did you mean 'pooling_param'?"]),
        ("layer { prior_bx_param { } }", ["did you mean 'prior_box_param'?"]),
        ("layer { num_output: 3 }", ["it belongs inside convolution_param { }"]),
        ('layer {\n name: "a"\n name: "b" }', ["3:", "'name' is specified multiple times"]),
        ("layer { dropout_param {} dropout_param {} }", ["'dropout_param' is specified multiple times"]),
        ("layer { pooling_param { pool: MAXX } }", ["PoolMethod has no value 'MAXX'", "did you mean 'MAX'?"]),
        ('layer { pooling_param { pool: "MAX" } }', ["write MAX"]),
        ("layer { pooling_param { pool: 7 } }", ["PoolMethod has no value 7", "MAX, AVE, STOCHASTIC"]),
        ("layer { type: Convolution }", ["expects a string in quotes, got Convolution", '"Convolution"']),
        ('layers { type: "Convolution" }', ["LayerType has no value 'Convolution'", "`layers`"]),
        ("layer { convolution_param { pad: x } }", ["1:34", "expects an integer, got x"]),
        ("layer { convolution_param { pad: -1 } }", ["out of range: -1"]),
        ('layer { lrn_param { alpha: "1" } }', ['expects a number, got "1"', "without quotes"]),
        ("layer { convolution_param { bias_term: maybe } }", ["expects true or false"]),
        ("layer {\n lrn_param { }\nlayer { }", ["3:1", "is a '}' missing above?"]),
        ("layer {\n lrn_param {\n", ["a '}' is missing"]),
        ('layer { name: "a\n}', ["without its ending quote"]),
        ("layer { } }", ["one '}' too many?"]),
        ('name "n"', ["expects ':' here"]),
        ("base_lr: 1", ["it is a solver's field"]),
        ("layer { }\nlayer { clip_param { min: 0 } }", ["net.prototxt:2", "clip_param needs 'max'"]),
        ('name: "\\xff"', ["net.prototxt:1"]),
    ],
)
def test_errors_show_place_fault_and_cure(source, parts):
    """Each mistake names its line and column, what was wrong, and the likely cure."""
    with pytest.raises(ProtoError) as caught:
        text.parse(source, proto.NetParameter(), "net.prototxt")

    for part in parts:
        assert part in str(caught.value)


def test_a_net_given_as_solver_is_recognised():
    """Mixing up the two files is named as such."""
    with pytest.raises(ProtoError, match="it is a net's field"):
        text.parse(LENET.replace('name: "LeNet"', ""), proto.SolverParameter())


def test_excerpt_of_a_long_line_keeps_the_column_in_view():
    """A file on one line still gives a readable excerpt."""
    source = "layer { name: 'a' } " * 500 + "layer { botom: 'x' } " + "layer { name: 'a' } " * 500
    with pytest.raises(ProtoError) as caught:
        text.parse(source, proto.NetParameter())
    _, shown, caret = caught.value.message.split("\n")

    assert len(shown) < 130
    assert shown[caret.index("^") :].startswith("botom")


def test_a_missing_file_in_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    """A file that is not there is called that, also where its folder may not be searched for near names."""
    def refused(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(files.Path, "iterdir", refused)

    with pytest.raises(ProtoError, match=r"^no such file: .*lenet\.prototxt$"):
        prototxt.read(tmp_path / "lenet.prototxt", proto.NetParameter())


def test_read_says_what_is_wrong_with_the_file(tmp_path):
    """A missing file, a folder, weights and a wrong encoding are each named."""
    (tmp_path / "lenet.prototxt").write_text(LENET, encoding="utf-8")
    (tmp_path / "weights.prototxt").write_bytes(proto.NetParameter(
        layer=[proto.LayerParameter(name="c", blobs=[proto.BlobProto(data=[0, 1])])]).SerializeToString())
    (tmp_path / "latin.prototxt").write_bytes(b'\n# \xe9\nname: "\xe9"')

    (tmp_path / "wide.prototxt").write_text(LENET, encoding="utf-16")
    (tmp_path / "page.prototxt").write_text("\n<!DOCTYPE html><html></html>")

    for name, words in [("lenet.protoxt", "did you mean 'lenet.prototxt'"), ("gone/net.prototxt", "there is no folder"),
                        ("", "is a folder"), ("weights.prototxt", "weights (a caffemodel)"),
                        ("latin.prototxt", ":3"), ("wide.prototxt", "UTF-16"), ("page.prototxt", "a web page")]:
        with pytest.raises(ProtoError) as caught:
            prototxt.read(tmp_path / name, proto.NetParameter())
        assert words in str(caught.value), name


@pytest.mark.parametrize("name", ["net.prototxt", "net.yaml"])
def test_a_text_that_is_too_large_is_not_parsed(tmp_path, name):
    """64 MB are read and one byte more is not."""
    (tmp_path / name).write_bytes(b"#" * prototxt.LARGEST)
    assert prototxt.LARGEST == len(prototxt.read_source(tmp_path / name).text)
    (tmp_path / name).write_bytes(b"#" * (prototxt.LARGEST + 1))

    with pytest.raises(ProtoError, match=f"{name}: this text is larger than 64 MB"):
        prototxt.read_source(tmp_path / name)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_a_path_that_never_ends():
    """Devices and pipes are read up to a limit, and where a file would be read twice they are refused."""
    with pytest.raises(ProtoError, match="a file of zero bytes"):
        prototxt.read("/dev/zero", proto.NetParameter())
    with pytest.raises(ProtoError, match="more than 256 MB come from here, and this is no ordinary file"):
        files.read_bytes("/dev/zero")
    with pytest.raises(ProtoError, match="/dev/zero is a pipe or a device, but this file is read twice"):
        sniff("/dev/zero")


@pytest.mark.parametrize("source", ["dim:1 " * 1_000_001, "dim:[" + "1," * 1_000_001 + "1]", "shape{}" * 1_000_001,
                                    "name: " + '""' * 1_000_001, "name: " + "'x'" * 1_000_001])
def test_repeated_fields_by_the_million(source):
    """They are counted before they are parsed; in comments they do not count."""
    with pytest.raises(ProtoError, match="net.prototxt: more than 1,000,000 fields and values stand here"):
        text.parse("input_shape { " + source, proto.NetParameter(), "net.prototxt")
    assert "n" == text.parse('name: "n"  # ' + source, proto.NetParameter(), "net.prototxt").name


@pytest.mark.parametrize("line", ["\n", "#\n", "\t\n"])
def test_millions_of_lines_are_refused(line):
    """The parser takes a second for a million of them."""
    with pytest.raises(ProtoError, match="net.prototxt: more than 5,000,000 lines stand here"):
        text.parse('name: "n"\n' + line * 5_000_000, proto.NetParameter(), "net.prototxt")


def test_a_line_of_blanks_is_refused():
    """The parser would take 150 bytes of memory for each; a million lines are another matter."""
    with pytest.raises(ProtoError, match="net.prototxt:2: more than 1,000,000 blanks stand here in one line"):
        text.parse('name: "n"\n' + " " * 1_000_001 + "x", proto.NetParameter(), "net.prototxt")
    assert "n" == text.parse("\n" * 1_000_001 + 'name: "n"', proto.NetParameter()).name


@pytest.mark.parametrize("source", [b"layer { " * 10_000, b"layer { input_param { shape { " + b"x { " * 20_000,
                                    b"[" * 50_000, b"name: [" * 50_000, b"layer < " * 10_000, b"}" * 10_000])
def test_deep_nesting_is_one_error(tmp_path, source):
    """Ten thousand levels end at the first that the schema does not know, and places are found without them."""
    (tmp_path / "net.prototxt").write_bytes(source)
    with pytest.raises(ProtoError, match=r"net.prototxt:1:\d+: "):
        prototxt.read(tmp_path / "net.prototxt", proto.NetParameter())
    assert prototxt.read_source(tmp_path / "net.prototxt").where("layer[0].name")


def test_a_line_of_quotes_in_another_encoding(tmp_path):
    """Strings that never end are looked at once: 300,000 of them used to take minutes."""
    (tmp_path / "net.prototxt").write_bytes(b'name: \xff "' + b'\\"' * 300_000)
    with pytest.raises(ProtoError, match="not UTF-8"):
        prototxt.read(tmp_path / "net.prototxt", proto.NetParameter())


def test_comments_may_be_in_another_encoding(tmp_path):
    """As in Caffe, bytes that are no UTF-8 do not matter inside a comment."""
    path = tmp_path / "net.prototxt"
    path.write_bytes(b'\xef\xbb\xbfname: "a # b" # \xd6\xd0\xce\xc4\nforce_backward: true')
    net = prototxt.read(path, proto.NetParameter())

    assert (net.name, net.force_backward) == ("a # b", True)


@pytest.mark.parametrize("name", ["net.prototxt", "net.yaml"])
def test_write_replaces_the_file_whole(tmp_path, name):
    """A written net reads back equal, through a link too, and leaves no other file."""
    net = text.parse(LENET, proto.NetParameter())
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / name).write_text("old")
    (tmp_path / name).symlink_to(tmp_path / "real" / name)
    prototxt.write(tmp_path / name, net)

    assert prototxt.read(tmp_path / name, proto.NetParameter()) == net
    assert os.listdir(tmp_path / "real") == [name]


def test_write_that_fails_is_one_error_and_leaves_nothing(tmp_path, monkeypatch):
    """A full disk gives a DataError, keeps the old file and removes the new one's rest."""
    path = tmp_path / "net.prototxt"
    path.write_text("old")

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        prototxt.write(path, proto.NetParameter(name="new"))

    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["net.prototxt"])
    with pytest.raises(DataError, match="cannot write"):
        prototxt.write(tmp_path / "gone" / "net.prototxt", proto.NetParameter())


@pytest.mark.parametrize(("path", "escape", "cure"), [
    (r"C:\Users\me\net.prototxt", r"\U begins none", '"C:/Users/me/net.prototxt"'),
    (r"D:\xyz\net.prototxt", r"\x begins none", '"D:/xyz/net.prototxt"'),
    (r"D:\\new\u12", r"\u begins none", '"D:/new/u12"'),
    (r"D:\ud800", r"\u begins none", '"D:/ud800"'),
    (r"D:\UFFFFFFFF", r"\U begins none", '"D:/UFFFFFFFF"'),
    ("D:\\", "makes the quote behind it a letter", '"D:/"'),
    (r"D:\377", "bytes that are not UTF-8", r"\\"),
])
def test_a_backslash_that_begins_no_escape(path, escape, cure):
    """A path of Windows is one sentence with its place and the cure, whatever letter follows its backslashes."""
    with pytest.raises(ProtoError) as found:
        text.parse(f'base_lr: 1\nnet: "{path}"', proto.SolverParameter(), "s.prototxt")

    assert "codec" not in str(found.value)
    assert found.value.where.startswith("s.prototxt:2:")
    assert escape in found.value.message
    assert cure in found.value.hint


def test_a_backslash_in_yaml():
    """Between double quotes YAML has escapes too."""
    for path in (r"C:\Users", r"C:\quux"):
        with pytest.raises(ProtoError, match="between single quotes, or with slashes"):
            text.parse(f'net: "{path}"', proto.SolverParameter(), "s.yaml")


def test_a_path_with_a_line_break_in_it(tmp_path):
    """A backslash that was read as an escape is explained where the file is not found, on one line."""
    solver = text.parse(r'net: "models\new\train.prototxt"', proto.SolverParameter())
    with pytest.raises(ProtoError) as found:
        prototxt.read(solver.net, proto.NetParameter())

    assert found.value.message == r"no such file: models\new\train.prototxt"
    assert "a line break and a tab" in found.value.hint
    assert '"models/new/train.prototxt"' in found.value.hint
