"""YAML in, YAML out: nothing lost, and errors that show the place."""

import pytest

from minicaffe import proto
from minicaffe.errors import ProtoError
from minicaffe.proto import text, yaml_text
from minicaffe.proto.source import Source


def same(one, other):
    """Equal by their bytes, so that two NaN are equal and 0 differs from -0."""
    return one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


def error(source, message=None):
    with pytest.raises(ProtoError) as caught:
        yaml_text.parse(source, message or proto.NetParameter(), "net.yaml")
    return str(caught.value)


@pytest.mark.parametrize("seed", range(4))
def test_random_messages_come_back_through_yaml_and_prototxt(random_message, message_names, seed):
    """Every field of every message survives both text forms, presence of defaults included."""
    for name in message_names:
        message = random_message(name, seed)
        kind = type(message)

        assert same(yaml_text.parse(yaml_text.format(message), kind()), message), name
        assert same(text.parse(text.format(message), kind()), message), name


def test_yaml_is_what_a_person_would_write():
    """A message is written with names of enums, lists of numbers on one line, and short floats."""
    net = proto.NetParameter(name="123")
    layer = net.layer.add(name="pool", type="Pooling", bottom=["a", "b"], phase=proto.TEST)
    layer.pooling_param.pool = proto.PoolingParameter.MAX
    layer.param.add(lr_mult=0.1)
    layer.relu_param.SetInParent()

    assert yaml_text.format(net) == (
        "name: '123'\n"
        "layer:\n"
        "- name: pool\n"
        "  type: Pooling\n"
        "  bottom: [a, b]\n"
        "  param:\n"
        "  - lr_mult: 0.1\n"
        "  phase: TEST\n"
        "  pooling_param:\n"
        "    pool: MAX\n"
        "  relu_param: {}\n"
    )


def test_the_schema_decides_how_a_scalar_reads():
    """1e-5 is a number, yes may be a name, and one value stands for a list of one."""
    source = """
name: yes
layer: {name: 10, bottom: data, param: {lr_mult: 1e-5}, convolution_param: {kernel_size: 0x3, bias_term: no}}
"""
    net = yaml_text.parse(source, proto.NetParameter())
    layer = net.layer[0]

    assert (net.name, layer.name, list(layer.bottom)) == ("yes", "10", ["data"])
    assert layer.param[0].lr_mult == pytest.approx(1e-5)
    assert list(layer.convolution_param.kernel_size) == [3]
    assert layer.convolution_param.bias_term is False


def test_anchors_and_merge_keys():
    """A block written once serves other layers, which may override parts of it."""
    source = """
layer:
- &conv
  name: c1
  type: Convolution
  convolution_param: {num_output: 7, weight_filler: &filler {type: xavier}}
- <<: *conv
  name: c2
- name: ip
  inner_product_param: {num_output: 5, weight_filler: *filler}
"""
    first, second, third = yaml_text.parse(source, proto.NetParameter()).layer

    assert (second.name, second.type, second.convolution_param) == ("c2", "Convolution", first.convolution_param)
    assert third.inner_product_param.weight_filler.type == "xavier"


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("name: n\nlayer:\n- botom: x\n", ["net.yaml:3:3", "no field 'botom'", "- botom: x", "mean 'bottom'"]),
        ("layer: {convolution_param: {num_output: five}}", ["1:41", "expects an integer, got 'five'"]),
        ("layer: {convolution_param: {num_output: '5'}}", ["expects an integer", "take away the quotes"]),
        ("layer: {convolution_param: {num_output: -1}}", ["takes 0 to 4294967295, got -1"]),
        ("layer: {pooling_param: {pool: MAXX}}", ["PoolMethod has no value 'MAXX'", "did you mean 'MAX'"]),
        ("layer: {name: a, name: b}", ["1:18", "'name' is specified multiple times"]),
        ("layer: {name: [a, b]}", ["expects a string, got a list"]),
        ("name:\n", ["expects a string, got nothing"]),
        ("layer: conv\n", ["expects a mapping of LayerParameter's fields, got 'conv'"]),
        ("layer: {triplet_loss_param: {}}", ["belongs to the face recognition forks"]),
        ("layer: {clip_param: {min: 0}}", ["layer[0].clip_param needs 'max'"]),
        ("base_lr: 0.1", ["it is a solver's field"]),
        ("name: [a\nlayer: 1", ["net.yaml:2", "not YAML"]),
        ("name: a\x01", ["not YAML"]),
        ("a: 1\n---\nb: 2", ["not YAML"]),
        ("- a", ["expects a mapping of NetParameter's fields, got a list"]),
    ],
)
def test_errors_show_place_fault_and_cure(source, parts):
    """Each mistake names its line and column, what was wrong, and the likely cure."""
    with pytest.raises(ProtoError) as caught:
        text.parse(source, proto.NetParameter(), "net.yaml")

    for part in parts:
        assert part in str(caught.value)


def bomb(width, levels, item="<<: [{}]"):
    """YAML whose aliases stand for width to the power of levels nodes."""
    lines = ["layer:", "- &a0 {name: a}"]
    for i in range(1, levels):
        lines.append(f"- &a{i} {{" + item.format(", ".join([f"*a{i - 1}"] * width)) + "}")
    return "\n".join(lines)


@pytest.mark.parametrize("source", [
    bomb(6, 9), bomb(9, 30), bomb(50, 8), bomb(6, 9, "bottom: [{}]"),
    "name: x\nx: &s [" + "1, " * 2000 + "]\ny: &t [" + "*s, " * 999 + "]\nlayer:\n- {name: [*t]}"])
def test_aliases_of_aliases_are_counted_before_they_are_followed(source):
    """A few lines that stand for billions of nodes are one error, at the alias that goes too far."""
    message = error(source)

    assert "more than 1,000,000 names and values stand here, each alias counted in full" in message
    line = int(message.split(":")[1])
    assert "*" in source.splitlines()[line - 1]
    assert "net.yaml" == Source(source, "net.yaml").where("layer[1].name")  # nobody else follows them


@pytest.mark.parametrize("key", ["[a]", "{a: 1}", "[[name]]"])
def test_a_merged_key_that_is_no_name(key):
    """A list or a mapping where a field's name is due is one error, in a mapping that `<<` takes in too."""
    odd = f"{{? {key} : b}}"
    for source in (f"layer: {odd}", f"layer: {{<<: {odd}}}", f"layer: {{name: x, <<: [{odd}]}}"):
        assert "LayerParameter has no field ''" in error(source)


def test_a_long_chain_of_merges():
    """Mappings that each take in the one before, a thousand of them, where nobody reads them one by one."""
    chain = ", ".join(f"&a{i} {{<<: *a{i - 1}}}" for i in range(1, 990))
    source = f"layer:\n- {{name: x, <<: {{name: [&a0 {{name: a}}, {chain}]}}}}\n- {{<<: *a989}}"

    assert "net.yaml: too many mappings take in one another with <<" in error(source)


def test_many_aliases_are_no_bomb():
    """One block that a thousand layers take is read."""
    source = "layer:\n- &a {name: x, type: ReLU, bottom: x, top: x}\n" + "- {<<: *a}\n" * 1000
    assert 1001 == len(yaml_text.parse(source, proto.NetParameter()).layer)


@pytest.mark.parametrize(("source", "words"), [
    ("[" * 100_000, "exceeded maximum nesting depth"), ("{a: " * 100_000, "1:201: this is nested too deeply"),
    ("- " * 100_000, "1:101: this is nested too deeply"),
    ("layer: &a [*a]", "1:12: the alias *a stands inside what it names"),
    ("&a {<<: *a, layer: *a}", "1:9: the alias *a stands inside what it names"),
    ("layer: {name: *gone}", "found undefined alias")])
def test_hostile_yaml_ends_in_an_error_at_once(source, words):
    """Nesting and self-reference neither hang nor crash."""
    assert words in error(source)
