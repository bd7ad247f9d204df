"""Binary nets of forks, which give the same numbers to different fields.

The folder dialects holds a net for each fork, with every field that the fork numbers in its own way: the binary form,
and the text. Both were written from the fork's own description of its messages.
"""

import logging
from pathlib import Path

import pytest

from minicaffe import proto
from minicaffe.cli.__main__ import main
from minicaffe.errors import ProtoError
from minicaffe.io import binary, wire
from minicaffe.proto import dialects, text

FOLDER = Path(__file__).with_name("dialects")
WITH_NETS = sorted(path.stem for path in FOLDER.glob("*.caffemodel"))


def field(number, payload):
    """The bytes of a field: a whole number, or bytes."""
    if isinstance(payload, int):
        return wire.put_tag(number, wire.VARINT, payload)
    return wire.put_tag(number, wire.LENGTH, len(payload)) + payload


def layer(kind, *fields):
    """The bytes of a net with one layer."""
    return field(100, field(1, b"x") + field(2, kind) + b"".join(fields))


def test_every_fork_has_a_net():
    """Only CaffeOnSpark's and waifu2x's have none: their numbers are known from files, and from no description."""
    assert {*WITH_NETS, "bvlc", "caffeonspark", "waifu2x"} == set(dialects.NAMES)


def test_a_message_is_not_taken_for_text(caplog):
    """Field 149 is the name of an engine in Intel's fork, and numbers to crop in waifu2x's."""
    caplog.set_level(logging.INFO, "minicaffe")
    crop = layer(b"CropCenter", field(149, b"".join(field(2, number) for number in (0, 0, 2, 2))))
    net = binary.parse(crop, proto.NetParameter())

    assert list(net.layer[0].crop_center_param.crop_size) == [0, 0, 2, 2]
    assert not net.layer[0].engine
    assert "(--dialect waifu2x)" in caplog.text
    assert binary.parse(layer(b"Convolution", field(149, b"MKLDNN")), proto.NetParameter()).layer[0].engine == "MKLDNN"


@pytest.mark.parametrize("name", WITH_NETS)
def test_a_forks_binary_net_says_what_its_text_says(name, caplog):
    """The fork is guessed and logged, and a net that is written again keeps all of it."""
    caplog.set_level(logging.INFO, "minicaffe")
    expected = text.parse((FOLDER / f"{name}.prototxt").read_text("utf-8"), proto.NetParameter())

    net = binary.read(FOLDER / f"{name}.caffemodel", proto.NetParameter())
    guesses = [record.getMessage() for record in caplog.records]
    caplog.clear()
    again = binary.parse(net.SerializeToString(), proto.NetParameter())

    assert net == expected
    assert len(guesses) == 1
    assert f"(--dialect {name})" in guesses[0]
    assert again == expected
    assert not caplog.records  # our own numbers are no fork's


@pytest.mark.parametrize("name", WITH_NETS)
def test_a_fork_that_is_named_is_not_guessed(name, caplog):
    """What `dialect` names is taken, without a line in the log."""
    caplog.set_level(logging.INFO, "minicaffe")
    path = FOLDER / f"{name}.caffemodel"
    expected = text.parse((FOLDER / f"{name}.prototxt").read_text("utf-8"), proto.NetParameter())

    assert binary.read(path, proto.NetParameter(), dialect=name) == expected
    assert not caplog.records


@pytest.mark.parametrize(("kind", "number", "payload", "path"), [
    (b"Swish", 147, b"\x0d\0\0\0\x40", "swish_param"),
    (b"ROIPooling", 147, field(1, 7) + field(2, 5), "roi_pooling_param"),
    (b"CenterLoss", 147, field(1, 10), "center_loss_param"),
    (b"MarginInnerProduct", 147, field(1, 10) + field(2, 3), "margin_inner_product_param"),
    (b"Reorg", 147, field(1, 2), "reorg_param"),
    (b"Convolution", 147, 2, "forward_math"),
    (b"DomainTransform", 147, field(1, 3), "domain_transform_param"),
    (b"Embed", 137, field(1, 3), "embed_param"),
    (b"Upsample", 137, field(1, 3), "upsample_param"),
    (b"Lstm", 201, field(1, 3), "lstm_param"),
])
def test_one_number_of_several_meanings(kind, number, payload, path):
    """The type of the layer, and what stands in the field, say which it is."""
    net = binary.parse(layer(kind, field(number, payload)), proto.NetParameter())

    assert [one.name for one, _ in net.layer[0].ListFields()] == ["name", "type", path]


def test_bvlc_is_taken_where_no_fork_explains_more():
    """Number 13 of a Pooling layer is BVLC's round_mode, though forks have ceil_mode there."""
    data = layer(b"Pooling", field(121, field(13, 1)))

    assert binary.parse(data, proto.NetParameter()).layer[0].pooling_param.round_mode == proto.PoolingParameter.FLOOR


def test_forks_that_explain_as_much_must_be_told_apart():
    """Number 2 of dropout_param has three meanings, and nothing else in this net says which one it is."""
    data = layer(b"Dropout", field(108, field(2, 0)))

    with pytest.raises(ProtoError, match=r"a\.caffemodel: this binary net is of a fork of Caffe, and frcnn and segnet "
                                         r"and nvidia .*equally well.*\n  hint: .*--dialect frcnn"):
        binary.parse(data, proto.NetParameter(), "a.caffemodel")
    read = {name: binary.parse(data, proto.NetParameter(), dialect=name).layer[0].dropout_param.ListFields()
            for name in ("frcnn", "segnet", "nvidia")}
    assert {name: (fields[0][0].name, fields[0][1]) for name, fields in read.items()} == {
        "frcnn": ("scale_train", False), "segnet": ("sample_weights_test", False), "nvidia": ("engine", 0)}


def test_other_layers_tell_forks_apart():
    """The same Dropout layer, beside a layer that only one of these forks numbers so."""
    data = layer(b"Dropout", field(108, field(2, 1))) + layer(b"BN", field(45, field(3, 1)))  # ncnn reads both, too

    net = binary.parse(data, proto.NetParameter())

    assert net.layer[0].dropout_param.sample_weights_test
    assert net.layer[1].bn_param.bn_mode == proto.BNParameter.INFERENCE


def test_weights_need_no_dialect(tmp_path):
    """Names, types and blobs have the same numbers in all forks."""
    blob = binary.array_to_blob([1.5, 2.5]).SerializeToString()
    (tmp_path / "a.caffemodel").write_bytes(layer(b"Dropout", field(7, blob), field(108, field(2, 0))))

    (read,) = binary.read_weights(tmp_path / "a.caffemodel")

    assert (read.name, read.type, read.blobs[0].tolist()) == ("x", "Dropout", [1.5, 2.5])


def test_fields_of_no_fork_survive():
    """A field that no dialect knows keeps its number and its bytes, beside one that is renumbered."""
    data = layer(b"BN", field(45, field(3, 1)))
    data += layer(b"Upsample", field(137, field(1, 3) + field(4321, b"inner")), field(4322, b"outer"))

    net = binary.parse(data, proto.NetParameter())

    assert net.layer[1].upsample_param.scale == 3
    assert net.layer[0].bn_param.bn_mode == proto.BNParameter.INFERENCE
    assert field(4321, b"inner") in net.SerializeToString()
    assert field(4322, b"outer") in net.SerializeToString()


def test_a_dialect_that_does_not_exist():
    """The error names those that do."""
    with pytest.raises(ProtoError, match=r"no dialect 'nvidai'; there are bvlc, ssd, .*nvidia.*\n  hint: .*nvidia"):
        binary.parse(b"", proto.NetParameter(), dialect="nvidai")


@pytest.mark.parametrize("name", dialects.NAMES)
def test_the_tables_name_fields_that_exist(name):
    """Every message, enum, field and value of dialects.json is one of caffe.proto."""
    table = dialects._tables().get(name, {})
    for outer, numbers in table.items():
        if "." in outer:
            message, _, enum = outer.partition(".")
            known = proto.DESCRIPTOR.message_types_by_name[message].enum_types_by_name[enum].values_by_name
        else:
            known = proto.DESCRIPTOR.message_types_by_name[outer].fields_by_name
        assert not {given for given in numbers.values() if given} - set(known), outer


@pytest.mark.parametrize("command", ["convert", "upgrade"])
def test_commands_take_the_dialect(command, tmp_path, monkeypatch, capsys):
    """Without --dialect the command asks for it; with it the file is written with our numbers, and unknown fields."""
    monkeypatch.chdir(tmp_path)
    Path("a.caffemodel").write_bytes(layer(b"Dropout", field(108, field(2, 1)), field(4322, b"outer")))

    assert main([command, "a.caffemodel", "b.caffemodel"]) == 0  # a field that no fork knows: BVLC's numbers
    assert field(4322, b"outer") in Path("b.caffemodel").read_bytes()
    Path("a.caffemodel").write_bytes(layer(b"Dropout", field(108, field(2, 1))))
    assert main([command, "a.caffemodel", "c.caffemodel"]) == 1
    assert "--dialect frcnn" in capsys.readouterr().err
    assert main([command, "a.caffemodel", "c.caffemodel", "--dialect", "segnet"]) == 0
    net = binary.read("c.caffemodel", proto.NetParameter(), dialect="bvlc")
    assert net.layer[0].dropout_param.sample_weights_test


def test_a_mistyped_flag_names_the_fork_that_was_meant(capsys):
    """The command line says it too, and writes nothing."""
    with pytest.raises(SystemExit):
        main(["convert", "--dialect", "casade", "a.caffemodel", "b.prototxt"])

    assert "there is no dialect 'casade'" in (said := capsys.readouterr().err)
    assert "did you mean 'cascade'?" in said
