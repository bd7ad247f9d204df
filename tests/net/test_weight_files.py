"""Weights from files into a net: the table, strict, several files, layers of one name, old shapes."""

import logging

import numpy as np
import pytest
from extras import needs

from minicaffe import TEST, TRAIN, DataError, LayerError, Net, rng
from minicaffe.io import caffemodel, weights
from minicaffe.io.binary import LayerWeights
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text


def net(**layers):
    """A net of InnerProduct layers side by side: name=outputs."""
    parts = ['layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }']
    for k, (name, outputs) in enumerate(layers.items()):
        parts.append(f'layer {{ name: "{name.rstrip("_")}" type: "InnerProduct" bottom: "x" top: "y{k}" '
                     f'inner_product_param {{ num_output: {outputs} weight_filler {{ type: "xavier" }} }} }}')
    return Net(proto_text.parse("\n".join(parts), NetParameter()))


def stored(name, outputs, value):
    """A layer's weights, all of one value."""
    return LayerWeights(name, "InnerProduct", [np.full((outputs, 3), value, np.float32), np.full(outputs, -value)])


def first_numbers(net):
    """The first weight of each layer, in the net's order."""
    return [float(layer.blobs[0].data[0, 0]) for layer in net.layers if layer.blobs]


@pytest.mark.parametrize("suffix", [".caffemodel", ".caffemodel.h5", ".npz", ".safetensors"])
def test_every_format_fills_a_net(suffix, tmp_path):
    """Whatever the format, the same layers are loaded, and the table is the same."""
    if suffix.endswith(".h5"):
        needs("h5py")
    weights.write(tmp_path / f"w{suffix}", [stored("a", 5, 1), stored("b", 7, 2)])
    target = net(b=7, a=5)
    report = target.copy_trained_from(tmp_path / f"w{suffix}", strict=True)

    assert [2, 1] == first_numbers(target)
    assert [f"weights from {tmp_path}/w{suffix}:", "  b  loaded            (7, 3) (7,)",
            "  a  loaded            (5, 3) (5,)"] == str(report).splitlines()


def test_the_table_has_every_layer(tmp_path):
    """The table says what was loaded, and what only the net or only the file has, with near names."""
    weights.write(tmp_path / "w.npz", [stored("conv1", 5, 1), stored("fc8_a", 7, 2), stored("zzz", 2, 3)])
    report = net(conv1=5, fc8_b=7, other=2).copy_trained_from(tmp_path / "w.npz")

    assert ["  conv1  loaded            (5, 3) (5,)",
            "  fc8_b  only in the net   (7, 3) (7,)  did you mean 'fc8_a'?",
            "  other  only in the net   (2, 3) (2,)",
            "  fc8_a  only in the file  (7, 3) (7,)  did you mean 'fc8_b'?",
            "  zzz    only in the file  (2, 3) (2,)"] == str(report).splitlines()[1:]


def test_a_shape_that_differs_is_an_error_and_nothing_is_copied(tmp_path):
    """The error names all layers that differ, with both shapes and the cure, and the net is as before."""
    weights.write(tmp_path / "w.npz", [stored("a", 5, 1), stored("b", 7, 2), stored("c", 8, 2)])
    target = net(a=5, b=6, c=9)
    before = first_numbers(target)
    with pytest.raises(DataError) as error:
        target.copy_trained_from(tmp_path / "w.npz")

    for words in ("layers 'b', 'c' do not fit", "c  shape differs     blob 0 is (8, 3)",
                  "b  shape differs     blob 0 is (7, 3) in the file and (6, 3) in the net; "
                  "blob 1 is (7,) in the file and (6,) in the net",
                  "a  loaded", "give it another name in the net"):
        assert words in str(error.value)
    assert before == first_numbers(target)


def test_several_files(tmp_path):
    """Several files together may be strict, a later one overwrites, and both ways to list them work."""
    weights.write(tmp_path / "1.npz", [stored("a", 5, 1), stored("b", 7, 1)])
    weights.write(tmp_path / "2.npz", [stored("b", 7, 2), stored("c", 2, 2)])
    paths = [tmp_path / "1.npz", tmp_path / "2.npz"]
    for source in (paths, f"{paths[0]}, {paths[1]}"):
        target = net(a=5, b=7, c=2)
        report = target.copy_trained_from(source, strict=True)
        assert [1, 2, 2] == first_numbers(target)
        assert [f"from {paths[0]}", f"from {paths[1]}", f"from {paths[1]}"] == [row.remark for row in report.rows]
    for one in paths:
        with pytest.raises(DataError, match="do not fit the net exactly"):
            net(a=5, b=7, c=2).copy_trained_from(one, strict=True)


def test_strict_names_what_only_the_file_has(tmp_path):
    """A layer too many in the file is enough for strict to refuse."""
    weights.write(tmp_path / "w.npz", [stored("a", 5, 1), stored("b", 7, 1)])
    target = net(a=5)
    before = first_numbers(target)
    with pytest.raises(DataError, match="strict demands(.|\n)*b +only in the file"):
        target.copy_trained_from(tmp_path / "w.npz", strict=True)
    assert before == first_numbers(target)


def test_layers_of_one_name_pair_up_in_order(tmp_path):
    """Each of two layers gets its own (BVLC Caffe copies both into the first, #7043)."""
    two = net(a=5, a_=5)
    weights.write(tmp_path / "two.caffemodel", [stored("a", 5, 1), stored("a", 5, 2)])
    assert ["a", "a"] == two.copy_trained_from(tmp_path / "two.caffemodel", strict=True).loaded
    assert [1, 2] == first_numbers(two)

    caffemodel.write(tmp_path / "saved.caffemodel", two)
    again = net(a=5, a_=5)
    again.copy_trained_from(tmp_path / "saved.caffemodel", strict=True)
    assert [1, 2] == first_numbers(again)

    one = net(a=5)
    report = one.copy_trained_from(tmp_path / "two.caffemodel")
    assert [2] == first_numbers(one)
    assert "stands twice in the file: the last one is taken" in str(report)

    weights.write(tmp_path / "one.caffemodel", [stored("a", 5, 3)])
    report = again.copy_trained_from(tmp_path / "one.caffemodel")
    assert ([3, 2], ["a"], ["a"]) == (first_numbers(again), report.loaded, report.only_in_net)


def test_hdf5_of_two_layers_of_one_name_is_refused(tmp_path):
    """The error comes instead of a file that lacks one of them."""
    needs("h5py")
    with pytest.raises(DataError, match=r"two layers of the name 'a' have blobs(.|\n)*BINARYPROTO"):
        caffemodel.write(tmp_path / "w.caffemodel.h5", net(a=5, a_=5))


@pytest.mark.parametrize("shape", [(1, 1, 1, 6), (1, 6, 1, 1), (6,)])
def test_old_batchnorm(shape, tmp_path):
    """Statistics stored in four sizes load, and the third blob is one number."""
    target = Net(proto_text.parse("""
      layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 6 dim: 4 dim: 5 } } }
      layer { name: "bn" type: "BatchNorm" bottom: "x" top: "y"
              param { lr_mult: 0 } param { lr_mult: 0 } param { lr_mult: 0 } }""", NetParameter()))
    mean, var = np.arange(6, dtype=np.float32).reshape(shape), np.arange(6.0).reshape(shape) + 1
    scale = np.full((1,) * len(shape), 0.5, np.float32)
    weights.write(tmp_path / "w.caffemodel", [LayerWeights("bn", "BatchNorm", [mean, var, scale])])
    target.copy_trained_from(tmp_path / "w.caffemodel", strict=True)

    assert [list(range(6)), [1, 2, 3, 4, 5, 6], [0.5]] == [blob.data.tolist() for blob in target.params["bn"]]


def test_layers_that_the_net_lacks_are_logged_as_caffe_does(tmp_path, caplog):
    """Each layer that is passed over is reported in Caffe's words, also one without blobs."""
    weights.write(tmp_path / "w.caffemodel", [LayerWeights("data", "Data", []), stored("a", 5, 1), stored("b", 7, 1)])
    with caplog.at_level(logging.INFO, "minicaffe"):
        net(a=5).copy_trained_from(tmp_path / "w.caffemodel")

    assert ["Ignoring source layer data", "Ignoring source layer b"] == \
        [record.getMessage() for record in caplog.records if "Ignoring" in record.getMessage()]


def test_a_file_name_with_a_comma(tmp_path):
    """A file that is there is taken by its whole name."""
    weights.write(tmp_path / "a,b.npz", [stored("a", 5, 4)])
    target = net(a=5)
    target.copy_trained_from(str(tmp_path / "a,b.npz"))

    assert [4] == first_numbers(target)


# --- what the weights bring is not drawn -----------------------------------------------------------------------------


def sides(phase, weights=(), kind="gaussian", **layers):
    """Like `net`, with biases that are drawn too, in a phase, with weights."""
    parts = ['layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }']
    for k, (name, outputs) in enumerate(layers.items()):
        drawn = f'{{ type: "{kind}" }}'
        parts.append(f'layer {{ name: "{name.rstrip("_")}" type: "InnerProduct" bottom: "x" top: "y{k}" param {{ name: '
                     f'"{"shared" if name.startswith("tied") else ""}" }} inner_product_param {{ num_output: {outputs} '
                     f'weight_filler {drawn} bias_filler {{ type: "uniform" max: 1 }} }} }}')
    rng.seed(5)
    return Net(proto_text.parse("\n".join(parts), NetParameter()), phase, weights=weights)


def test_nothing_is_drawn_for_a_test_net(tmp_path):
    """A TEST net whose weights are given draws nothing: the generator stands where it stood."""
    weights.write(tmp_path / "w.npz", [stored("a", 5, 1), stored("b", 7, 2)])
    got = sides(TEST, tmp_path / "w.npz", a=5, b=7)
    rng_state, report = rng.state(), got.loaded
    rng.seed(5)

    assert [1, 2] == first_numbers(got)
    assert rng.state() == rng_state
    assert ["a", "b"] == report.loaded


def test_what_the_weights_lack_is_drawn(tmp_path):
    """Layers of a TEST net that the file lacks get their fillers' numbers, in the order of the net."""
    weights.write(tmp_path / "w.npz", [stored("b", 7, 2)])
    got = sides(TEST, tmp_path / "w.npz", a=5, b=7, c=4)
    want = sides(TEST, a=5, c=4)

    assert ["a", "c"] == got.loaded.only_in_net
    for name in ("a", "c"):
        for blob, other in zip(got.params[name], want.params[name], strict=True):
            np.testing.assert_array_equal(blob.data, other.data)


def test_the_second_of_one_name_is_drawn(tmp_path):
    """Of two layers of one name the file has one: the other is filled, as the table says."""
    weights.write(tmp_path / "w.caffemodel", [stored("a", 5, 1)])
    got = sides(TEST, tmp_path / "w.caffemodel", a=5, a_=5)

    assert (["a"], ["a"]) == (got.loaded.loaded, got.loaded.only_in_net)
    assert first_numbers(got)[0] == 1
    assert got.layers[-1].blobs[0].data.std() > 0.1


def test_weights_of_a_shared_blob_stay(tmp_path):
    """A layer that the file lacks and that shares its weights with one that the file has overwrites none of them."""
    weights.write(tmp_path / "w.npz", [stored("tied2", 5, 3)])
    for first, second in (("tied1", "tied2"), ("tied2", "tied1")):
        got = sides(TEST, tmp_path / "w.npz", **{first: 5, second: 5})

        assert [3, 3] == first_numbers(got)
        assert got.params["tied1"][1].data.std() > 0.1  # the bias is its own


def test_training_draws_as_ever(tmp_path):
    """At TRAIN a seed gives the layers that the weights lack, and all that is drawn later, the same numbers with
    weights and without."""
    weights.write(tmp_path / "w.npz", [stored("a", 5, 1), stored("b", 7, 2)])
    tuned, state = sides(TRAIN, tmp_path / "w.npz", a=5, b=7, c=4), rng.state()
    fresh = sides(TRAIN, a=5, b=7, c=4)

    assert rng.state() == state
    np.testing.assert_array_equal(tuned.params["c"][0].data, fresh.params["c"][0].data)
    assert [1, 2] == first_numbers(tuned)[:2]


def test_a_wrong_filler_is_an_error_with_weights_too(tmp_path):
    """A filler that there is not is named, though nothing would be drawn."""
    weights.write(tmp_path / "w.npz", [stored("a", 5, 1)])
    with pytest.raises(LayerError, match="type must be one of .*, got 'gausian'"):
        sides(TEST, tmp_path / "w.npz", kind="gausian", a=5)


def test_strict_net(tmp_path):
    """strict as a net's own argument refuses what the file lacks."""
    weights.write(tmp_path / "w.npz", [stored("a", 5, 1)])
    with pytest.raises(DataError, match="do not fit the net exactly"):
        Net(net(a=5, b=7).param, TEST, weights=tmp_path / "w.npz", strict=True)
