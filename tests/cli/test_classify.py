"""`minicaffe classify`: the answers for images, however they are prepared, and the proof that they are a test's."""

import contextlib
import csv
import json

import numpy as np
import pytest
from extras import needs
from net_tools import fully_connected, inputs, layer

from minicaffe import TEST, Net, rng
from minicaffe.cli.__main__ import main
from minicaffe.cli.class_names import read_names
from minicaffe.data.datum import make
from minicaffe.data.lmdb import write_lmdb
from minicaffe.io import binary, image, weights
from minicaffe.proto import BlobProto

PIXELS = np.random.default_rng(6).integers(0, 256, (5, 3, 6, 8)).astype(np.uint8)
BODY = fully_connected("data", "ip", 4)
LOSS = layer("SoftmaxWithLoss", "ip label", "loss") + layer("Accuracy", "ip label", "accuracy")
DATA = ('data_param { source: "db" backend: LMDB batch_size: 3 } '
        'transform_param { scale: 0.01 mean_value: 100 mean_value: 110 mean_value: 120 crop_size: 5 mirror: true }')


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with five PNG images in pics/, and an LMDB of the same."""
    needs("cv2")
    needs("lmdb")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics").mkdir()
    for i, x in enumerate(PIXELS):
        (tmp_path / "pics" / f"{i}.png").write_bytes(image.encode(x))
    write_lmdb("db", [(f"{i:03d}", make(x, i % 4)) for i, x in enumerate(PIXELS)])
    return tmp_path


def save(text, name="net.prototxt"):
    """Write a net, and weights for it in w.caffemodel; return the net."""
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    rng.seed(8)
    net = Net(name, TEST)
    weights.save("w.caffemodel", net)
    return net


def answers(net, x):
    """The softmax of ip for an input, computed from the net's weights."""
    w, b = (blob.data for blob in net.params["ip"])
    scores = x.reshape(len(x), -1) @ w.T + b
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def prepared(mean=(100, 110, 120), scale=0.01):
    return (PIXELS[:, :, :5, 1:6] - np.float32(mean).reshape(3, 1, 1)) * np.float32(scale)


def classified(capsys, *flags, status=0, net="net.prototxt", images=("pics",)):
    """What --json prints."""
    assert status == main(["classify", net, "w.caffemodel", *images, "--json", "--top", "4", *flags])
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


def table(made):
    """The probabilities of all images as an array, in the order of the classes."""
    return np.array([[one["p"] for one in sorted(found["top"], key=lambda one: one["class"])]
                     for found in made["images"]])


def test_a_net_with_a_data_layer(capsys):
    """All of the preprocessing is the layer's but the mirror; it is proved on the test set."""
    net = save(layer("Data", "", "data label", DATA) + BODY + LOSS)
    made, told = classified(capsys)

    np.testing.assert_allclose(answers(net, prepared()), table(made), rtol=1e-4)
    assert [f"pics/{i}.png" for i in range(5)] == [one["file"] for one in made["images"]]
    assert "The layer mirrors images at random; here none is." in told
    assert "Images are resized to 6×8, the size of the first one in db." in told
    assert "proved on the first 5 samples of db" in told
    assert "minus 100, 110, 120; times 0.01; the middle 5×5 of it" in made["preprocessing"]


def test_it_scores_as_test_does(capsys, here):
    """Image by image the probabilities that minicaffe test writes."""
    save(layer("Data", "", "data label", DATA.replace("mirror: true", "")) + BODY + LOSS)
    assert 0 == main(["test", "--model", "net.prototxt", "--weights", "w.caffemodel", "--predictions", "out.csv"])
    rows = list(csv.DictReader((here / "out.csv").read_text().splitlines()))
    capsys.readouterr()
    made, _ = classified(capsys)

    assert [row["top_1"] for row in rows] == [str(one["top"][0]["class"]) for one in made["images"]]
    best = [one["top"][0]["p"] for one in made["images"]]
    np.testing.assert_allclose([float(row["p_1"]) for row in rows], best, rtol=1e-5)


def test_image_data(capsys, here):
    """new_height and is_color come from the layer; the proof reads the files of the list itself."""
    (here / "list.txt").write_text("".join(f"pics/{i}.png {i % 4}\n" for i in range(5)))
    save(layer("ImageData", "", "data label", 'image_data_param { source: "list.txt" batch_size: 2 shuffle: true '
               'new_height: 7 new_width: 9 is_color: false } transform_param { crop_size: 4 }') + BODY + LOSS)

    assert 0 == main(["classify", "net.prototxt", "w.caffemodel", "--prove"])
    out = capsys.readouterr().out
    assert "preprocessing: grey; resized to 7×9; the middle 4×4 of it\n" in out
    assert "proved on the first 5 samples of list.txt" in out


def test_a_proof_that_fails(capsys):
    """Another scale gives other answers: an error with --prove, a warning without."""
    save(layer("Data", "", "data label", DATA) + BODY + LOSS)
    assert 1 == main(["classify", "net.prototxt", "w.caffemodel", "--prove", "--scale", "0.05"])
    err = capsys.readouterr().err
    assert "on the first 5 samples of db, images prepared here get other answers" in err
    assert "hint: --scale changed the preprocessing" in err
    assert "minicaffe: warning: on the first 5 samples" in classified(capsys, "--scale", "0.05")[1]


def test_without_the_source(capsys, here):
    """Where the test set is gone, images get the size of the crop, and this is said."""
    text = layer("Data", "", "data label", DATA) + BODY + LOSS
    save(text)
    (here / "net.prototxt").write_text(text.replace('"db"', '"gone"'))
    _, told = classified(capsys)

    assert "Images are resized to 5×5, the size of the crop, because its source gone is not there." in told
    assert "proved" not in told
    assert 1 == main(["classify", "net.prototxt", "w.caffemodel", "--prove"])
    assert "--prove: the net has no data layer whose source is there" in capsys.readouterr().err


def test_a_data_layer_of_training_alone(capsys, here):
    """What prepares images is found in the TRAIN layer too, but there is no test set to compare with."""
    net = save(layer("Data", "", "data label", DATA) + BODY + LOSS)
    only = "include { phase: TRAIN }"
    (here / "net.prototxt").write_text(layer("Data", "", "data label", DATA + only) + BODY
                                       + layer("SoftmaxWithLoss", "ip label", "loss", only))
    made, told = classified(capsys)

    np.testing.assert_allclose(answers(net, prepared()), table(made), rtol=1e-4)
    assert "proved" not in told


DEPLOY = inputs(data=(2, 3, 5, 5)) + BODY + layer("Softmax", "ip", "prob")


@pytest.mark.parametrize("mean", ["100,110,120", "mean.npy", "mean.binaryproto"])
def test_a_deploy_net_with_flags(capsys, mean):
    """The mean may be values or a file, the crop is the middle."""
    values = np.float32([100, 110, 120])
    np.save("mean.npy", values)
    whole = np.broadcast_to(values.reshape(3, 1, 1), (3, 6, 8))
    binary.write("mean.binaryproto", BlobProto(num=1, channels=3, height=6, width=8, data=whole.ravel().tolist()))
    net = save(DEPLOY)
    flags = [] if mean.endswith("o") else ["--resize", "6x8"]
    made, told = classified(capsys, "--mean", mean, "--scale", "0.01", "--crop", "5", "--resize", "6x8", *flags)

    np.testing.assert_allclose(answers(net, prepared()), table(made), rtol=1e-4)
    assert "The preprocessing is that of the flags." in told


def test_a_comment(capsys, here):
    """A deploy net that says itself how images are prepared; a flag says otherwise."""
    text = "# preprocessing: --resize 6x8 --mean 100,110,120 --scale 0.01 --crop 5\n" + DEPLOY
    net = save(text)
    made, told = classified(capsys)
    np.testing.assert_allclose(answers(net, prepared()), table(made), rtol=1e-4)
    assert "The preprocessing is that of the net's comment." in told

    made, _ = classified(capsys, "--channel-swap", "0,1,2", "--mean", "0,0,0")
    np.testing.assert_allclose(answers(net, prepared((0, 0, 0))[:, ::-1]), table(made), rtol=1e-4)


def test_deploy_writes_the_comment(capsys):
    """minicaffe deploy's net gives the same answers as the net that it was made of."""
    net = save(layer("Data", "", "data label", DATA) + BODY + LOSS)
    assert 0 == main(["deploy", "net.prototxt", "deploy.prototxt"])
    capsys.readouterr()
    made, _ = classified(capsys, net="deploy.prototxt")

    np.testing.assert_allclose(answers(net, prepared()), table(made), rtol=1e-4)


def test_nothing_is_said(capsys):
    """Without any preprocessing it says so, and images get the size of the input."""
    save(DEPLOY)
    _, told = classified(capsys)

    assert "The net does not say how images are prepared, and no flag does" in told
    assert "resized to 5×5" in told


def test_images_of_many_sizes(capsys, here):
    """A net without a fixed size is reshaped for each image with --resize no."""
    pool = layer("Pooling", "data", "p", "pooling_param { pool: AVE global_pooling: true }")
    net = save(inputs(data=(1, 3, 4, 4)) + pool + fully_connected("p", "ip", 4) + layer("Softmax", "ip", "prob"))
    (here / "pics" / "1.png").write_bytes(image.encode(PIXELS[1][:, :3, :5]))
    made, _ = classified(capsys, "--resize", "no", "--scale", "0.01")
    sized = [x[:, :3, :5] if i == 1 else x for i, x in enumerate(PIXELS)]

    means = np.array([x.mean(axis=(1, 2)) for x in sized], np.float32) * np.float32(0.01)
    np.testing.assert_allclose(answers(net, means), table(made), rtol=1e-4)


def test_a_net_with_a_fixed_batch(capsys):
    """Where a Reshape holds the size of the batch, the last batch is filled up, and no image is lost."""
    reshape = layer("Reshape", "data", "r", "reshape_param { shape { dim: 2 dim: 75 } }")
    net = save(inputs(data=(2, 3, 5, 5)) + reshape + fully_connected("r", "ip", 4) + layer("Softmax", "ip", "prob"))
    made, _ = classified(capsys, "--resize", "6x8", "--crop", "5", "--scale", "0.01", "--mean", "100,110,120")

    np.testing.assert_allclose(answers(net, prepared()), table(made), rtol=1e-4)


def test_questions_of_yes_or_no(capsys):
    """A Sigmoid's probabilities are printed as they are."""
    net = save(inputs(data=(1, 3, 5, 5)) + BODY + layer("Sigmoid", "ip", "prob"))
    made, told = classified(capsys, "--resize", "6x8", "--crop", "5", "--scale", "0.01", "--mean", "100,110,120")
    w, b = (blob.data for blob in net.params["ip"])

    expected = 1 / (1 + np.exp(-(prepared().reshape(5, -1) @ w.T + b)))
    np.testing.assert_allclose(expected, table(made), rtol=1e-5, atol=1e-6)
    assert "output: 'prob'; questions of yes or no" in told


def test_names_patterns_and_bad_images(capsys, here):
    """What cannot be read is an error at the end, and the rest is classified."""
    save(DEPLOY)
    (here / "names.txt").write_text("ant\nbee\ncat\ndog\n")
    (here / "pics" / "2.png").write_bytes(b"no image")
    assert 1 == main(["classify", "net.prototxt", "w.caffemodel", "pics/[12].png", "pics/0.png", "--labels",
                      "names.txt", "--csv", "--top", "2"])
    captured = capsys.readouterr()
    rows = list(csv.DictReader(captured.out.splitlines()))

    assert [("pics/1.png", "1"), ("pics/1.png", "2"), ("pics/0.png", "1"), ("pics/0.png", "2")] == \
        [(row["file"], row["rank"]) for row in rows]
    assert all(row["name"] == ["ant", "bee", "cat", "dog"][int(row["class"])] for row in rows)
    assert "pics/2.png is no image that can be decoded" in captured.err


def test_an_image_that_does_not_fit(capsys, here):
    """It is an error at the end, and the others are classified, each with its own answer."""
    save(DEPLOY)
    (here / "pics" / "1.png").write_bytes(image.encode(PIXELS[1][:, :4, :4]))
    alone = [classified(capsys, "--crop", "5", images=(f"pics/{i}.png",))[0]["images"][0] for i in (0, 2, 3, 4)]
    made, told = classified(capsys, "--crop", "5", status=1)

    assert [image["file"] for image in alone] == [image["file"] for image in made["images"]]
    for one, together in zip(alone, made["images"], strict=True):
        assert [place["class"] for place in one["top"]] == [place["class"] for place in together["top"]]
        # a product of matrices may be rounded in another way where it has more rows
        assert [place["p"] for place in one["top"]] == pytest.approx([place["p"] for place in together["top"]])
    assert "crop_size 5 is larger than the image pics/1.png" in told


def test_an_image_that_a_layer_refuses(capsys, here):
    """Where images keep their size, the message names the one that is too small."""
    save(inputs(data=(1, 3, 6, 8))
         + layer("Convolution", "data", "c", "convolution_param { num_output: 4 kernel_size: 5 }")
         + layer("Pooling", "c", "pool", "pooling_param { pool: AVE global_pooling: true }"))
    (here / "pics" / "1.png").write_bytes(image.encode(PIXELS[1][:, :4, :4]))
    made, told = classified(capsys, "--resize", "no", status=1)

    assert [f"pics/{i}.png" for i in (0, 2, 3, 4)] == [one["file"] for one in made["images"]]
    assert "pics/1.png, 3×4×4, does not fit the net: layer 'c' (Convolution)" in told


def test_an_answer_that_is_nan(capsys):
    """JSON has no NaN: it gets null, and the image an error."""
    net = save(DEPLOY)
    net.params["ip"][1].data[2] = np.nan
    weights.save("w.caffemodel", net)
    made, told = classified(capsys, "--crop", "5", status=1, images=("pics/0.png",))

    assert [None] * 4 == [one["p"] for one in made["images"][0]["top"]]
    assert "the answer to pics/0.png is NaN" in told


def test_names_are_cut_at_ends_of_lines_alone(here):
    """A name may hold other signs at which Python would cut a text."""
    (here / "names.txt").write_bytes("\ufeffant\u2028red\r\nbee\rcat\n\n".encode())
    assert ["ant\u2028red", "bee", "cat"] == read_names("names.txt")


@pytest.mark.parametrize(("flags", "message"), [
    (["pics", "--gray"], "pics/0.png comes out with 1 channels, but the input 'data' has 3\n  hint: leave out --gray"),
    (["pics", "--crop", "4"], "pics/0.png comes out as 3×4×4, but the input 'data' is 3×5×5"),
    (["pics", "--crop", "9"], "crop_size 9 is larger than the image pics/0.png"),
    (["nothing.png"], "there is no file nothing.png"),
    (["*.jpg"], "no file matches the pattern *.jpg"),
    ([], "no image is given"),
    (["pics", "--mean", "no.npy"], "cannot read the mean file no.npy"),
    (["pics", "--channel-swap", "2,1"], "expects the numbers 0, 1 and 2 in some order"),
    (["pics", "--scale", "0"], "expects a number other than 0, got '0'"),
    (["pics", "--output", "pro"], "--output: the net has no blob 'pro'\n  hint: did you mean 'prob'?"),
    (["pics", "--labels", "one.txt"], "--labels: one.txt names 1 classes, but the net has 4")])
def test_errors(here, capsys, flags, message):
    """A mistake is one message and status 1."""
    save(DEPLOY)
    (here / "one.txt").write_text("ant\n")
    with contextlib.suppress(SystemExit):  # argparse's way to end with status 1
        assert 1 == main(["classify", "net.prototxt", "w.caffemodel", *flags])
    assert message in capsys.readouterr().err


def test_weights_of_another_net(here, capsys):
    """Weights that lack a layer are refused: its random numbers would answer."""
    save(DEPLOY.replace('"ip"', '"other"'), "other.prototxt")
    (here / "net.prototxt").write_text(DEPLOY)

    assert 1 == main(["classify", "net.prototxt", "w.caffemodel", "pics"])
    assert "the weights of 'ip' are in none of the files w.caffemodel" in capsys.readouterr().err


def test_narrow_terminal(capsys, monkeypatch):
    """No line is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "42")
    save(layer("Data", "", "data label", DATA) + BODY + LOSS)
    assert 0 == main(["classify", "net.prototxt", "w.caffemodel", "pics"])

    assert max(map(len, capsys.readouterr().out.splitlines())) <= 42


def test_class_folders_name_the_classes(here, capsys):
    """Where the test set is a folder of class folders, its names stand in the answers and in the scores of a test."""
    for i, name in enumerate(["ant", "bee", "cat", "dog"]):
        (here / "photos" / name).mkdir(parents=True)
        (here / "photos" / name / "0.png").write_bytes(image.encode(PIXELS[i]))
    save(layer("ImageData", "", "data label", 'image_data_param { source: "photos" batch_size: 2 }') + BODY + LOSS)
    made, told = classified(capsys)

    assert all(one["name"] == ["ant", "bee", "cat", "dog"][one["class"]] for one in made["images"][0]["top"])
    assert "proved on the first 4 samples of photos" in told
    assert 0 == main(["test", "--model", "net.prototxt", "--weights", "w.caffemodel", "--scores"])
    assert ["ant", "bee", "cat", "dog"] == [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:6]]


def test_a_table_is_no_image(capsys, here):
    """A net that reads rows of numbers is told so, with the command for it, and not that its source is missing."""
    h5py = needs("h5py")
    with h5py.File("t.h5", "w") as file:
        file["data"], file["label"] = np.zeros((5, 3), np.float32), np.zeros(5, np.float32)
    (here / "t.txt").write_text("t.h5\n")
    save(layer("HDF5Data", "", "data label", 'hdf5_data_param { source: "t.txt" batch_size: 2 }') + BODY + LOSS)

    assert 1 == main(["classify", "net.prototxt", "w.caffemodel", "pics"])
    assert "(HDF5Data) reads rows of numbers and no images\n  hint: minicaffe test --predictions" in \
        capsys.readouterr().err


def test_without_the_package_for_images(capsys, monkeypatch):
    """What is missing is said once, and not again for each image."""
    from minicaffe.errors import missing_extra

    def missing(*_):
        raise missing_extra("opencv-python-headless", "data", "decoding")

    save(inputs(data=(1, 3, 6, 8)) + BODY)
    monkeypatch.setattr(image, "decode", missing)

    assert 1 == main(["classify", "net.prototxt", "w.caffemodel", "pics"])
    assert 1 == capsys.readouterr().err.count("needs the package 'opencv-python-headless'")


@pytest.mark.parametrize(("lines", "flags", "told"), [(4, (), True), (3, (), False), (4, ("--labels", "labels.txt"),
                                                                                        False)])
def test_a_hint_at_the_names(capsys, here, lines, flags, told):
    """Where a labels.txt beside the net fits and is not used, its flag is named; a deploy net knows no names."""
    save(inputs(data=(1, 3, 6, 8)) + BODY)
    (here / "labels.txt").write_text("".join(f"name {k}\n" for k in range(lines)))
    assert 0 == main(["classify", "net.prototxt", "w.caffemodel", "pics/0.png", *flags])

    assert told == ("--labels labels.txt shows the names in this file in place of the numbers"
                    in capsys.readouterr().out)
