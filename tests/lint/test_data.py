"""The rules about data, solvers and pairs of nets: databases and lists are made here, and compared with nets."""

import os
import struct

import numpy as np
import pytest
from extras import needs
from net_tools import fully_connected, inputs, layer

from minicaffe import lint
from minicaffe.data.datum import make
from minicaffe.data.lmdb import write_lmdb
from minicaffe.io import image
from minicaffe.io.exif import orientation

LOSS = layer("SoftmaxWithLoss", "f label", "loss")
TRAIN, TEST = "include { phase: TRAIN }", "include { phase: TEST }"
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 100 snapshot_prefix: "s"'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Each test has a folder of its own."""
    needs("lmdb")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def database(name, labels):
    """An LMDB of images of 3 × 5 × 4 pixels with these labels."""
    write_lmdb(name, [(f"{n:05}", make(np.full((3, 5, 4), n % 256, np.uint8), k)) for n, k in enumerate(labels)])


def reading(name, more="", batch=2, transform=""):
    return layer("Data", "", "x label", f'{more} data_param {{ source: "{name}" batch_size: {batch} backend: LMDB }} '
                 f"transform_param {{ {transform} }}", name="d")


def examine(*files, **options):
    for name, text in files:
        write(name, text)
    return lint.examine([name for name, _ in files], **options)


def write(name, text):
    with open(name, "w") as file:
        file.write(text)


def found(rule, *files, **options):
    return [one for one in examine(*files, **options).findings if one.rule == rule]


# --- labels -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("labels", "more", "bad", "cure"), [
    ([0, 1, 3, 2], "", 0, ""),
    ([0, 1, 4, 2], "", 1, "num_output: 5"),
    ([1, 2, 3, 4], "", 1, "begin with 0"),
    ([0, -1, 3, 3], "", 1, "ignore_label: -1"),
    ([0, -1, 3, 3], "loss_param { ignore_label: -1 }", 0, ""),
], ids=["all known", "too large", "from 1", "negative", "ignored"])
def test_label_range(labels, more, bad, cure):
    """A label beyond the classes is an error that names the record; an ignored one is none."""
    database("train", labels)
    one = found("label-range", ("net.prototxt", reading("train") + fully_connected("x", "f", 4)
                                + layer("SoftmaxWithLoss", "f label", "loss", more)))

    assert bad == len(one)
    if bad:
        place = next(n for n, label in enumerate(labels) if not 0 <= label < 4)
        assert f"record '{place:05}' of layer 'd' (Data) has the label {labels[place]}" in one[0].message
        assert ("error", "net.prototxt", 3) == (one[0].severity, one[0].file, one[0].line)
        assert cure in one[0].cure


def test_only_some_samples_are_read():
    """A bad label behind the samples that are read is not found, and the report says how many were read."""
    database("train", [0] * 9 + [7])
    net = ("net.prototxt", reading("train") + fully_connected("x", "f", 4) + LOSS)
    few, all_of_them = examine(net, samples=9), examine(net, samples=10)

    assert [] == [one for one in few.findings if one.rule == "label-range"]
    assert ["train: labels of 9 of the 10 samples were read"] == few.read
    assert ["label-range"] == [one.rule for one in all_of_them.findings if one.severity == "error"]
    assert ["train: labels of all 10 samples were read"] == all_of_them.read
    assert [] == examine(net, samples=0).read


@pytest.mark.parametrize(("targets", "bad"), [([0, 0.25, 1], 0), ([0, 255, 0], 1), ([-1, 1, 1], 1)])
def test_target_range(targets, bad):
    """A target outside 0 to 1 of a loss of yes-or-no answers is found."""
    h5py = needs("h5py")
    with h5py.File("rows.h5", "w") as file:
        file["x"] = np.ones((3, 2), np.float32)
        file["t"] = np.array(targets, np.float32).reshape(3, 1)
    write("rows.txt", "rows.h5\n")
    text = layer("HDF5Data", "", "x t", 'hdf5_data_param { source: "rows.txt" batch_size: 2 }', name="d") \
        + fully_connected("x", "f", 1) + layer("SigmoidCrossEntropyLoss", "f t", "loss")

    assert bad == len(found("target-range", ("net.prototxt", text)))


@pytest.mark.parametrize("field", ["shuffle", "shuffle_across_files"])
def test_the_first_samples_are_read_though_a_layer_shuffles(field):
    """lint says the same each time: it reads the samples in the order of the source."""
    h5py = needs("h5py")
    labels = np.arange(300) // 30  # ten classes; those after the third have no score
    with h5py.File("rows.h5", "w") as file:
        file["x"], file["label"] = np.ones((300, 2), np.float32), labels.astype(np.float32)
    write("rows.txt", "rows.h5\n")
    text = layer("HDF5Data", "", "x label", f'hdf5_data_param {{ source: "rows.txt" batch_size: 7 {field}: true }}',
                 name="d") + fully_connected("x", "f", 3) + LOSS
    one, = found("label-range", ("net.prototxt", text), samples=120)

    assert "sample rows.h5[90] of layer 'd' (HDF5Data) has the label 3 (30 of 120 samples" in one.message


def test_labels_of_a_list():
    """A list of images is read by its layer, and the image with the bad label is named."""
    needs("cv2")
    for n in range(3):
        with open(f"im{n}.png", "wb") as file:
            file.write(image.encode(np.full((3, 5, 4), n, np.uint8)))
    write("list.txt", "im0.png 0\nim1.png 4\nim2.png 3\n")
    text = layer("ImageData", "", "x label", 'image_data_param { source: "list.txt" batch_size: 2 }', name="d") \
        + fully_connected("x", "f", 4) + LOSS
    one, = found("label-range", ("net.prototxt", text))

    assert "im1.png" in one.message
    write("im2.png", "no image")
    bad, = found("unreadable-sample", ("net.prototxt", text))
    assert "im2.png" in bad.message


def test_a_record_that_is_no_datum():
    """It is named by its key, and the labels of the others are read all the same."""
    write_lmdb("train", [("0", make(np.zeros((3, 5, 4), np.uint8), 1)), ("1", b"no Datum"),
                         ("2", make(np.zeros((3, 5, 4), np.uint8), 9))])
    findings = examine(("net.prototxt", reading("train") + fully_connected("x", "f", 4) + LOSS)).findings

    assert ["unreadable-sample", "label-range"] == [one.rule for one in findings]
    assert "record '1' is no Datum (8 bytes)" in findings[0].message
    assert "record '2'" in findings[1].message


def test_a_pipe_is_not_read(folder):
    """A source that never answers does not stop lint."""
    if not hasattr(os, "mkfifo"):
        return
    os.mkfifo(folder / "pipe")
    text = layer("ImageData", "", "x label", 'image_data_param { source: "pipe" batch_size: 2 }', name="d")
    one, = examine(("net.prototxt", text + fully_connected("x", "f", 4) + LOSS)).findings

    assert "broken-net" == one.rule
    assert "pipe is no ordinary file" in one.message


# --- EXIF ---------------------------------------------------------------------------------------------------

def exif(turn, order="<"):
    """The beginning of a JPEG whose EXIF data gives this orientation."""
    tiff = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HIH", 42, 8, 1) \
        + struct.pack(f"{order}HHIHH", 0x0112, 3, 1, turn, 0) + bytes(4)
    body = b"Exif\0\0" + tiff
    return b"\xff\xd8\xff\xe0\0\x04ab\xff\xe1" + struct.pack(">H", len(body) + 2) + body + b"\xff\xda\0\x02"


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation(order):
    """The orientation is read in both orders of bytes, and 1 stands for what says nothing or is damaged."""
    whole = exif(6, order)

    assert 6 == orientation(whole)
    assert [1] * 4 == [orientation(whole[:n]) for n in (0, 3, 9, 30)]
    assert [1, 1] == [orientation(b"\x89PNG" + whole), orientation(exif(9, order))]


@pytest.mark.parametrize(("turn", "transform", "bad"), [
    (6, "", 1), (1, "", 0), (6, "force_color: true", 0), (6, "force_gray: true", 0)])
def test_turned_picture(turn, transform, bad):
    """Encoded records whose EXIF data asks for a turn are counted, unless they are upright or Data turns them."""
    needs("cv2")
    png = image.encode(np.full((3, 5, 4), 7, np.uint8), ".jpg")
    datum = make(np.zeros((1, 2, 3), np.uint8), 1)
    datum.encoded, datum.data = True, exif(turn)[:-4] + png[2:]
    write_lmdb("train", [("0", datum)])
    one = found("turned-picture", ("net.prototxt", reading("train", transform=transform)
                                  + fully_connected("x", "f", 4) + LOSS))

    assert bad == len(one)
    assert all("1 of 1 records, the first record '0'" in each.message for each in one)


# --- solvers ------------------------------------------------------------------------------------------------

def two_phases(test="", train_batch=2, test_batch=3, transform="", test_transform=""):
    return reading("train", TRAIN, train_batch, transform) + reading(test or "test", TEST, test_batch, test_transform) \
        + fully_connected("x", "f", 4) + LOSS


@pytest.mark.parametrize(("batches", "words", "cure"), [
    (4, "", ""), (3, "each test leaves out 3 of them", "test_iter: 4"), (5, "3 are counted twice", "test_iter: 4"),
    (9, "some are counted more often than others", "test_iter: 4"), (8, "each test is 2 passes over", "test_iter: 4"),
])
def test_test_size(batches, words, cure):
    """test_iter batches must be one pass over the test set; two passes are only noted, for the score is the same."""
    database("train", [0] * 5)
    database("test", [0] * 12)
    solver = ("solver.prototxt", f"{SOLVER}\ntest_iter: {batches} test_interval: 10")
    write("net.prototxt", two_phases())
    one = found("test-size", solver)

    assert bool(words) == bool(one)
    assert all(words in each.message and cure in each.cure and each.line == 2 for each in one)
    assert all(("note" if batches == 8 else "warning") == each.severity for each in one)


def test_a_test_set_that_batches_do_not_divide():
    """Where no test_iter is right, the cure is the field that takes each sample once."""
    database("train", [0] * 5)
    database("test", [0] * 10)
    write("net.prototxt", two_phases())
    one, = found("test-size", ("solver.prototxt", f"{SOLVER} test_iter: 4 test_interval: 10"))

    assert "test_iter_auto: true" in one.cure


STEPS = SOLVER.replace('"fixed"', '"multistep" gamma: 0.5')


@pytest.mark.parametrize(("rule", "severity", "bad", "good"), [
    ("late-step", "warning", f"{STEPS} stepvalue: 50 stepvalue: 150", f"{STEPS} stepvalue: 50 stepvalue: 99"),
    ("late-step", "note", f"{STEPS} stepvalue: 50 stepvalue: 100", f"{STEPS} stepvalue: 50 stepvalue: 99"),
    ("late-step", "warning", STEPS.replace("multistep", "step") + " stepsize: 101",
     STEPS.replace("multistep", "step") + " stepsize: 99"),
    ("late-step", "warning", SOLVER + " warmup_iter: 200", SOLVER + " warmup_iter: 20"),
    ("no-test", "warning", SOLVER + " test_iter: 4 test_interval: 200", SOLVER + " test_iter: 4 test_interval: 50"),
    ("no-test", "warning", SOLVER + " test_iter: 4 test_interval: 200",
     SOLVER + " test_iter: 4 test_interval: 200 test_initialization: false"),
    ("solver-field", "warning", SOLVER + " gamma: 0.1", SOLVER + " momentum: 0.9"),
    ("broken-solver", "error", STEPS.replace("multistep", "step"), STEPS.replace("multistep", "step") + " stepsize: 9"),
    ("broken-solver", "error", SOLVER.replace('"fixed"', '"fixd"'), SOLVER),
    ("broken-solver", "error", SOLVER + ' type: "Adan"', SOLVER + ' type: "Adam"'),
    ("broken-solver", "error", SOLVER + " test_iter: 4 test_iter: 5", SOLVER + " test_iter: 4 test_interval: 50"),
    ("broken-solver", "warning", SOLVER.replace("max_iter: 100", ""), SOLVER),
    ("missing-path", "error", SOLVER.replace("net.proto", "here/nett.proto"), SOLVER),
    ("missing-path", "note", SOLVER.replace("net.proto", "away/net.proto"), SOLVER),
    ("missing-path", "error", SOLVER.replace("net.proto", "nett.proto"), SOLVER),
    ("missing-path", "error", SOLVER.replace('"s"', '"away/s"'), SOLVER),
    ("missing-path", "error", SOLVER.replace('"s"', '"away/s"'),
     SOLVER.replace('"s"', '"away/s" snapshot_after_train: false')),
])
def test_a_rule_about_solvers(folder, rule, severity, bad, good):
    """The rule finds the mistake, and finds nothing in the nearest solver without it."""
    (folder / "here").mkdir()
    database("train", [0] * 5)
    database("test", [0] * 12)
    write("net.prototxt", two_phases())

    assert [severity] == [one.severity for one in found(rule, ("solver.prototxt", bad))]
    assert [] == found(rule, ("solver.prototxt", good))


def test_every_rule_about_solvers_and_pairs_has_a_case():
    """A rule without a test could be one that finds nothing."""
    solver = {"test-size", "late-step", "no-test", "solver-field", "broken-solver"}
    pair = {"preprocessing-differs", "same-source", "weights-differ", "weights-missing", "input-size", "class-folders"}

    assert (solver, pair) == (set(lint.rules(lint.SOLVER)), set(lint.rules(lint.PAIR)))


def test_the_folder_of_a_solvers_net(folder):
    """A net beside its solver, which is linted from another folder, is found by the hint."""
    (folder / "sub").mkdir()
    write("sub/net.prototxt", "")
    one, = found("missing-path", ("sub/solver.prototxt", SOLVER))

    assert "error" == one.severity
    assert "start minicaffe in sub" in one.cure


# --- pairs --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("train", "test", "words"), [
    ("scale: 0.5", "scale: 0.5", ""),
    ("scale: 0.5", "", "scale is 1 here and 0.5 there"),
    ("mean_value: 7", "mean_value: 8", "mean_value is [8] here and [7] there"),
    ("crop_size: 3", "crop_size: 2", "crop_size is 2 here and 3 there"),
    ("crop_size: 3", "", "crop_size is 0 here and 3 there"),
    ("mirror: true", "", ""),
])
def test_preprocessing_differs(train, test, words):
    """Scale, mean and crop must be those of the train net; what is drawn at random may differ."""
    database("train", [0] * 5)
    database("test", [0] * 6)
    one = found("preprocessing-differs", ("net.prototxt", two_phases(transform=train, test_transform=test)))

    assert bool(words) == bool(one)
    assert all(words in each.message and each.line == 2 and "in line 1" in each.message for each in one)


@pytest.mark.parametrize(("test", "names"), [
    ("scale: 0.5 mean_value: 7", []), ("mean_value: 7", ["scale"]), ("scale: 0.5", ["mean_value"]),
    ("", ["scale", "mean_value"]),
])
def test_a_database_beside_a_list(test, names):
    """A net that is trained on a database and tested on image files needs the same preparation for both."""
    database("train", [0] * 5)
    needs("cv2")
    with open("a.png", "wb") as file:
        file.write(image.encode(np.zeros((3, 5, 4), np.uint8)))
    write("list.txt", "a.png 0\n")
    images = layer("ImageData", "", "x label", f'{TEST} image_data_param {{ source: "list.txt" }} '
                   f"transform_param {{ {test} }}")
    text = reading("train", TRAIN, transform="scale: 0.5 mean_value: 7 force_color: true") + images
    each = found("preprocessing-differs", ("net.prototxt", text + fully_connected("x", "f", 4) + LOSS))

    assert [", ".join(names)] * bool(names) == [one.cure.removeprefix("give both layers the same ") for one in each]


def test_a_crop_that_gives_the_same_size():
    """Test images that have the size of the crops of the train images need no crop."""
    database("train", [0] * 5)
    write_lmdb("test", [("0", make(np.zeros((3, 3, 3), np.uint8), 0))])

    assert [] == found("preprocessing-differs", ("net.prototxt", two_phases(transform="crop_size: 3", test_batch=1)))


def test_same_source():
    """A net that is tested on the data of its training is found; a file without phases is not one to test."""
    database("train", [0] * 5)

    assert 1 == len(found("same-source", ("net.prototxt", two_phases(test="train"))))
    assert [] == found("same-source", ("net.prototxt", reading("train") + fully_connected("x", "f", 4) + LOSS))


DEPLOY = inputs(x=(1, 3, 5, 4)) + fully_connected("x", "f", 4) + layer("Softmax", "f", "p")


@pytest.mark.parametrize(("rule", "deploy"), [
    ("weights-differ", DEPLOY.replace("num_output: 4", "num_output: 6")),
    ("weights-missing", DEPLOY.replace('name: "f"', 'name: "g"')),
    ("input-size", DEPLOY.replace("dim: 5 dim: 4", "dim: 4 dim: 5")),
])
def test_a_deploy_net(rule, deploy):
    """The deploy net must have the layers, weights and images of the train net."""
    database("train", [0] * 5)
    train = ("net.prototxt", reading("train", TRAIN) + fully_connected("x", "f", 4) + LOSS)

    assert [rule] == [one.rule for one in examine(train, ("deploy.prototxt", deploy)).findings]
    assert [] == examine(train, ("deploy.prototxt", DEPLOY)).findings


def test_a_deploy_net_of_the_solvers_net():
    """With a solver, the deploy net is compared with the net that the solver trains."""
    database("train", [0] * 5)
    write("net.prototxt", reading("train") + fully_connected("x", "f", 4) + LOSS)
    one, = examine(("solver.prototxt", SOLVER), ("deploy.prototxt", DEPLOY.replace("output: 4", "output: 6"))).findings

    assert ("weights-differ", "deploy.prototxt", 2) == (one.rule, one.file, one.line)


def test_nets_that_do_not_belong_together():
    """With several train nets, a deploy net is compared with the one of its name, or with none."""
    database("train", [0] * 5)
    train = reading("train", TRAIN) + fully_connected("x", "f", 4) + LOSS
    first = ("a.prototxt", f'name: "A" {train}')
    second = ("b.prototxt", 'name: "B" ' + train.replace("num_output: 4", "num_output: 6"))
    wide = DEPLOY.replace("num_output: 4", "num_output: 6")

    assert [] == found("weights-differ", first, second, ("d.prototxt", wide))
    assert 1 == len(found("weights-differ", first, second, ("d.prototxt", f'name: "A" {wide}')))


def test_a_file_with_a_parse_error_does_not_stop_the_others():
    """It is one finding with its line, and the other files are examined."""
    database("train", [9] * 5)
    report = examine(("a.prototxt", 'name: "A"\nlayer { nmae: "x" }'),
                     ("b.prototxt", reading("train") + fully_connected("x", "f", 4) + LOSS), ("none", ""))

    assert [("a.prototxt", 2, "unreadable"), ("b.prototxt", 3, "label-range")] == [
        (one.file, one.line, one.rule) for one in report.findings if one.severity == "error"][:2]
    assert ["a.prototxt", "b.prototxt", "none"] == report.files


# --- folders of class folders -----------------------------------------------------------------------------------

FOLDERS = "".join(layer("ImageData", "", "x label", f'{phase} image_data_param {{ source: "{name}" shuffle: {order} '
                        "batch_size: 2 new_height: 5 new_width: 4 }", name="d")
                  for phase, name, order in ((TRAIN, "train", "true"), (TEST, "test", "false")))


def make_folders(names):
    """Class folders of one small image each, such as train/cat."""
    needs("cv2")
    for name in names:
        os.makedirs(name)
        with open(f"{name}/0.png", "wb") as file:
            file.write(image.encode(np.zeros((3, 5, 4), np.uint8)))


@pytest.mark.parametrize(("test", "odd"), [
    (["ant", "bee", "cat"], ""), (["ant", "bee"], ""), (["ant", "cat"], "cat has number 1 in test, and has number 2"),
    (["ant", "bee", "cow"], "cow has number 2 in test, and is missing"), (["Ant", "bee", "cat"], "Ant has number 0")])
def test_class_folders_that_differ(test, odd):
    """A class that has another number in the test is an error, and the class is named."""
    make_folders([*(f"train/{name}" for name in ("ant", "bee", "cat")), *(f"test/{name}" for name in test)])
    findings = found("class-folders", ("net.prototxt", FOLDERS + fully_connected("x", "f", 3) + LOSS),
                     ("solver.prototxt", SOLVER + " test_iter_auto: true test_interval: 10"))

    assert [odd != ""] * bool(odd) == [one.severity == "error" for one in findings]
    assert all(odd in one.message and one.line == 2 for one in findings)
    assert not os.path.exists("labels.txt")  # who only looks writes nothing


def test_what_is_odd_about_a_source(folder):
    """What a layer says of its source has a rule of its own, with the cure that goes with it."""
    make_folders(["train/ant", "train/cat", "test/ant", "test/cat"])
    (folder / "train" / "cat" / "notes.md").touch()
    net = FOLDERS.replace("shuffle: true", "").replace("label", "y")
    findings = found("odd-source", ("net.prototxt", net), )

    assert ["files in the folder train whose names are not those of images are left out: 1, the first is cat/notes.md",
            "layer 'd': the images come class by class, from which a net learns badly"] == \
        sorted(one.message for one in findings)
    assert ["Put them elsewhere if they are no images.", "Set shuffle: true."] == sorted(one.cure for one in findings)
    assert not found("no-effect", ("net.prototxt", net))
