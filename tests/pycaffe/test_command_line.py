"""The programs `python -m minicaffe.pycaffe.classify`, `detect` and `draw_net`, with the flags of Caffe's scripts."""

import csv
import io
import subprocess
import sys

import numpy as np
import pytest
from extras import needs

from minicaffe import pycaffe as caffe
from minicaffe.errors import DataError
from minicaffe.pycaffe import classify, command_line, detect, draw_net

NET = """
  layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 3 dim: 6 dim: 8 } } }
  layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
          inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 0.01 } } }
  layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


@pytest.fixture
def flags(tmp_path, monkeypatch):
    """The flags that name a net with weights, in a folder with two photographs and a mean."""
    cv2 = needs("cv2")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    caffe.Net("net.prototxt", caffe.TEST).save("net.caffemodel")
    np.save("mean.npy", np.random.default_rng(1).random((3, 9, 7)) * 200)
    (tmp_path / "photographs").mkdir()
    for k, name in enumerate(("d.png", "b.png", "c.png", "a.png")):
        pixels = np.random.default_rng(k).integers(0, 256, (20, 30, 3)).astype(np.uint8)
        cv2.imwrite(f"photographs/{name}", pixels)
    return ["--model_def", "net.prototxt", "--pretrained_model", "net.caffemodel", "--mean_file", "mean.npy"]


def classifier():
    return caffe.Classifier("net.prototxt", "net.caffemodel", image_dims=(10, 12), mean=np.load("mean.npy"),
                            raw_scale=255, channel_swap=(2, 1, 0))


def test_classify_a_folder(flags, capsys):
    """The answers come in the order of the names. The raw scale and the channels are Caffe's unless flags say more."""
    classify.main(["photographs", "out", "--ext", "png", "--images_dim", "10,12", *flags])
    images = [caffe.io.load_image(f"photographs/{name}.png") for name in "abcd"]

    np.testing.assert_allclose(classifier().predict(images), np.load("out.npy"), rtol=1e-4)
    assert "Classifying 4 images" in capsys.readouterr().out


def test_classify_the_middle_of_an_array(flags):
    """A .npy file holds images; --center_only takes one crop of each."""
    images = np.random.default_rng(2).random((3, 11, 9, 3)).astype(np.float32)
    np.save("images.npy", images)
    classify.main(["images.npy", "out.npy", "--center_only", "--images_dim=10,12", *flags])

    np.testing.assert_allclose(classifier().predict(images, False), np.load("out.npy"), rtol=1e-4)


def test_classify_with_other_flags(flags):
    """No mean, no swap, and the scales are taken as they are given."""
    classify.main(["photographs/a.png", "out.npy", *flags, "--mean_file", "", "--channel_swap", "", "--raw_scale", "2",
                   "--input_scale", "0.5", "--images_dim", "6,8"])
    made = caffe.Classifier("net.prototxt", "net.caffemodel", raw_scale=2, input_scale=0.5)

    np.testing.assert_allclose(made.predict([caffe.io.load_image("photographs/a.png")]), np.load("out.npy"), rtol=1e-4)


WINDOWS = "filename,xmin,ymin,xmax,ymax\nphotographs/a.png,3,2,30,15\nphotographs/b.png,0,0,9,8\n" \
    "photographs/a.png,4,5,11,9\n"


def detector():
    made = caffe.Detector("net.prototxt", "net.caffemodel", mean=np.load("mean.npy").mean((1, 2)), raw_scale=255,
                          channel_swap=(2, 1, 0), context_pad=1)
    found = made.detect_windows([("photographs/a.png", [(2, 3, 15, 30), (5, 4, 9, 11)]),
                                 ("photographs/b.png", [(0, 0, 8, 9)])])
    return [one["prediction"] for one in found]


def test_detect_to_csv(flags, tmp_path):
    """Windows of one image stand together, and their columns are ymin, xmin, ymax, xmax, whatever the order was."""
    (tmp_path / "windows.csv").write_text(WINDOWS)
    detect.main(["windows.csv", "out.csv", "--crop_mode", "list", "--context_pad", "1", *flags])
    with open("out.csv", newline="") as file:
        head, *rows = csv.reader(file)

    assert ["filename", "ymin", "xmin", "ymax", "xmax", "class0", "class1", "class2", "class3", "class4"] == head
    assert [["photographs/a.png", "2", "3", "15", "30"], ["photographs/a.png", "5", "4", "9", "11"],
            ["photographs/b.png", "0", "0", "8", "9"]] == [row[:5] for row in rows]
    np.testing.assert_allclose(detector(), np.array([row[5:] for row in rows], float), rtol=1e-4)


def test_detect_to_hdf5(flags, tmp_path):
    """Any other name of the output is an HDF5 file with three datasets."""
    h5py = needs("h5py")
    (tmp_path / "windows.csv").write_text(WINDOWS)
    detect.main(["windows.csv", "out.h5", "--crop_mode", "list", "--context_pad", "1", *flags])
    with h5py.File("out.h5") as file:
        np.testing.assert_allclose(detector(), file["prediction"], rtol=1e-4)
        np.testing.assert_array_equal([[2, 3, 15, 30], [5, 4, 9, 11], [0, 0, 8, 9]], file["window"])
        assert [b"photographs/a.png"] * 2 + [b"photographs/b.png"] == list(file["filename"])


@pytest.mark.parametrize(("text", "words"), [
    ("filename,xmin,ymin,xmax\na,1,2,3\n", "windows.csv:1: the first line names no column ymax"),
    ("filename,xmin,ymin,xmax,ymax\na,1,2,3,4\na,1,2,x,4\n", "windows.csv:3: a window has four numbers"),
    ("filename,xmin,ymin,xmax,ymax\na,1,2,3\n", "windows.csv:2: a window has four numbers"),
    ("filename,xmin,ymin,xmax,ymax\n", "windows.csv names no window"),
])
def test_errors_of_the_windows(flags, tmp_path, text, words):
    """The line of the file is named."""
    (tmp_path / "windows.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        detect.main(["windows.csv", "out.csv", "--crop_mode", "list", *flags])


def test_selective_search(flags, tmp_path):
    """Without --crop_mode it is selective search, as in Caffe, and the error says what does without that."""
    (tmp_path / "images.txt").write_text("photographs/a.png\n\n")
    with pytest.raises(DataError, match=r"selective search needs .*\n.*--crop_mode list"):
        detect.main(["images.txt", "out.csv", "--context_pad=1", *flags])
    with pytest.raises(DataError, match="images without windows"):
        detect.main(["images.txt", "out.csv", "--crop_mode", "list", *flags])
    with pytest.raises(DataError, match=r"neither a \.txt nor a \.csv"):
        detect.main(["photographs/a.png", "out.csv", *flags])


@pytest.mark.parametrize(("arguments", "words"), [
    (["photographs", "out.npy", "--mean_file="], r"no file that ends in \.jpg\n  hint: --ext png"),
    (["photographs/none.png", "out.npy"], "no such file: photographs/none.png"),
    (["mean.npy", "out.npy"], r"shape \(3, 9, 7\), but images have"),
    (["photographs/a.png", "none/out.npy"], r"OUTPUT: cannot write none/out\.npy"),
    (["photographs/a.png", "out.npy", "--images_dim", "256"], "two numbers"),
    (["photographs/a.png", "out.npy", "--mean_file", "net.prototxt"], "no .npy file of numbers"),
    (["photographs/a.png", "out.npy", "--mean_file", "no.npy"], "cannot read the mean file no.npy"),
])
def test_errors_of_classify(flags, tmp_path, arguments, words):
    """What is wrong with a file or a flag is said, and nothing is written."""
    with pytest.raises(RuntimeError, match=words):
        classify.main([*flags, *arguments])
    assert not (tmp_path / "out.npy").exists()


def test_caffes_own_model(flags, tmp_path, monkeypatch):
    """Files that are not named are looked for where Caffe's script finds them: below CAFFE_ROOT."""
    model = tmp_path / "models" / "bvlc_reference_caffenet"
    model.mkdir(parents=True)
    monkeypatch.setenv("CAFFE_ROOT", str(tmp_path))
    with pytest.raises(DataError, match=r"--model_def is needed.*deploy\.prototxt"):
        classify.main(["photographs/a.png", "out.npy"])
    for old, new in (("net.prototxt", "deploy.prototxt"), ("net.caffemodel", "bvlc_reference_caffenet.caffemodel")):
        (tmp_path / old).rename(model / new)
    classify.main(["photographs/a.png", "out.npy", "--mean_file", ""])

    assert (1, 5) == np.load("out.npy").shape


@pytest.mark.parametrize(("program", "arguments", "words"), [
    (classify, ["a.png", "out.npy", "--center-onli"], "hint: did you mean '--center_only'?"),
    (detect, ["a.csv", "out.csv", "--crop_mode", "lists"], "invalid choice: 'lists'"),
    (draw_net, ["net.prototxt"], "required: OUTPUT"),
])
def test_a_wrong_flag(capsys, program, arguments, words):
    """The message begins with the name of the program, and the status is 1."""
    with pytest.raises(SystemExit) as end:
        program.main(arguments)
    said = capsys.readouterr().err

    assert 1 == end.value.code
    assert said.startswith(f"{program.PROG}: error: ")
    assert words in said


def test_a_name_that_the_terminal_has_no_letters_for(flags, monkeypatch):
    """It is printed with escapes."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "argv", ["classify.py", "photographs/a.png", "ü\x1b.npy", *flags])
    with pytest.raises(SystemExit) as end:
        command_line.run(classify.PROG, classify.main)

    assert 0 == end.value.code
    assert out.buffer.getvalue().endswith(b"The probabilities are in \\xfc\\x1b.npy\n")


def test_a_users_error_is_one_message(flags):
    """The process ends with status 1 and without a traceback."""
    done = subprocess.run([sys.executable, "-m", "minicaffe.pycaffe.classify", *flags, "photographs/none.png", "out"],
                          capture_output=True, text=True)

    assert 1 == done.returncode
    assert f"\n{classify.PROG}: error: no such file: photographs/none.png\n" in done.stderr
    assert "Traceback" not in done.stderr
