"""ImageData: lists with several labels, images that cannot be read, folders and archives as a source."""

import bz2
import copy
import gc
import logging
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from extras import needs

from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.data.windows import Window, read_window_file
from minicaffe.errors import DataError, LayerError
from minicaffe.io import image
from minicaffe.layers.data.image_data import ImageDataLayer
from minicaffe.layers.data.window_data import WindowDataLayer
from minicaffe.proto import TEST, TRAIN

needs("cv2")
IMAGES = np.random.default_rng(3).integers(0, 256, (7, 3, 5, 2), dtype=np.uint8)
TRUNCATED, EMPTY, TEXT, GONE = "1.png", "3.png", "4.png", "6.png"


@pytest.fixture
def seven(tmp_path, monkeypatch):
    """Seven PNG files (3, 5, 2), 0.png to 6.png, and a list that gives each its number as label."""
    monkeypatch.chdir(tmp_path)
    for i, x in enumerate(IMAGES):
        (tmp_path / f"{i}.png").write_bytes(image.encode(x))
    (tmp_path / "list.txt").write_text("".join(f"{i}.png {i}\n" for i in range(7)))
    return tmp_path


@pytest.fixture
def bad(seven):
    """The same with four images that cannot be read."""
    (seven / TRUNCATED).write_bytes((seven / TRUNCATED).read_bytes()[:-20])
    (seven / EMPTY).write_bytes(b"")
    (seven / TEXT).write_bytes(b"no image")
    (seven / GONE).unlink()
    return seven


def layer(transform=None, phase=TEST, **param):
    return ImageDataLayer(phase=phase, transform_param=transform or {},
                          image_data_param={"source": "list.txt", "skip_bad": True, **param})


def set_up(reader, tops):
    top = [Blob((), reader.dtype) for _ in range(tops)]
    reader.SetUp([], top)
    return top


def batches(reader, count):
    """The labels of so many batches; the images must be those of the labels."""
    top, found = set_up(reader, 2), []
    for _ in range(count):
        reader.reshape([], top)
        reader.Forward([], top)
        labels = top[1].data.astype(int).tolist()
        assert (top[0].data == IMAGES[labels]).all()
        found.append(labels)
    return found


def test_several_labels(seven):
    """A list with K numbers in each line gives a label blob (N, K); label_size says K where the paths do not."""
    (seven / "list.txt").write_text("0.png 1 0 -1 0.25\n1.png 3 4 5 6\n")
    top = set_up(layer(batch_size=3), 2)
    assert top[1].shape == (3, 4)
    reader = layer(batch_size=3)
    reader.Forward([], top := set_up(reader, 2))
    assert top[1].data.tolist() == [[1, 0, -1, .25], [3, 4, 5, 6], [1, 0, -1, .25]]

    (seven / "0.png 7").write_bytes(image.encode(IMAGES[0]))
    (seven / "list.txt").write_text("0.png 7 8\n")
    assert set_up(layer(batch_size=3), 2)[1].shape == (3,)
    assert set_up(layer(batch_size=3, label_size=2), 2)[1].shape == (3, 2)


def test_a_bad_image_is_an_error(bad):
    """Without skip_bad the first image that cannot be read ends the run, and list, line and file are named."""
    (bad / GONE).write_bytes(b"")
    for skip, message in ((1, r"list\.txt:2: 1\.png is a PNG image that is damaged or cut off \(\d+ bytes\)"),
                          (3, r"list\.txt:4: 3\.png is empty"),
                          (4, r"list\.txt:5: 4\.png is no image that can be decoded \(8 bytes\)")):
        reader = layer(skip_bad=False)
        top = set_up(reader, 2)
        reader.cursor = skip
        with pytest.raises(DataError, match=message):
            reader.Forward([], top)


@pytest.mark.parametrize("change", ["is deleted", "is rewritten", "becomes a pipe"])
def test_an_image_that_changes_during_the_run(change, seven):
    """A file that changes after set-up is an error with the line that names it, and nothing waits for ever."""
    reader = layer(skip_bad=False, batch_size=2)
    top = set_up(reader, 2)
    (seven / "5.png").unlink()
    if change == "is rewritten":
        (seven / "5.png").write_bytes(b"another")
    elif change == "becomes a pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("this machine has no named pipes")
        os.mkfifo(seven / "5.png")
    reader.cursor = 3
    reader.Forward([], top)
    with pytest.raises(DataError, match=r"list\.txt:6: (there is no file 5\.png|5\.png is no image|cannot read 5\.png, "
                                        r"which the list list\.txt names: it is a pipe)"):
        reader.Forward([], top)
    reader.close()


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_a_jpeg_that_is_cut_off(cut, seven):
    """A JPEG without its end is refused, by each version of OpenCV."""
    jpeg = image.encode(np.random.default_rng(0).integers(0, 256, (3, 40, 30), dtype=np.uint8), ".jpg")
    assert image.decode(jpeg, "whole").shape == (3, 40, 30)
    with pytest.raises(DataError, match="half is a JPEG image that is damaged or cut off"):
        image.decode(jpeg[:-cut], "half")


def test_a_jpeg_that_is_cut_off_behind_its_preview(seven, monkeypatch):
    """The end of the preview that a camera writes in front of the pixels is not the end of the picture."""
    small, jpeg = (image.encode(np.zeros((3, n, n + 1), np.uint8), ".jpg") for n in (8, 40))
    extra = b"Exif\0\0" + small
    jpeg = jpeg[:2] + b"\xff\xe1" + (len(extra) + 2).to_bytes(2, "big") + extra + jpeg[2:]
    assert image.decode(jpeg, "whole").shape == (3, 40, 41)
    monkeypatch.setattr(image.cv2, "imdecode", lambda *_: np.zeros((40, 41, 3), np.uint8))  # as OpenCV 4.6 does
    with pytest.raises(DataError, match="half is a JPEG image that is damaged or cut off"):
        image.decode(jpeg[:-2], "half")
    assert image.decode(jpeg + b"more", "whole").shape == (3, 40, 41)


def test_encoding_that_opencv_does_not_have(seven, monkeypatch):
    """OpenCV may return False in place of an error."""
    monkeypatch.setattr(image.cv2, "imencode", lambda *_: (False, ()))
    with pytest.raises(DataError, match=r"an image cannot be encoded as '\.jp2'"):
        image.encode(IMAGES[0], ".jp2")


def test_bad_images_are_left_out(bad, caplog):
    """The next images fill the batch, each bad image is told once, and what was wrong with it is kept."""
    caplog.set_level(logging.WARNING)
    reader = layer(batch_size=2)
    assert batches(reader, 5) == [[0, 2], [5, 0], [2, 5], [0, 2], [5, 0]]
    reader.close()

    told = [record.getMessage() for record in caplog.records]
    assert [text.split(": ")[1] for text in told] == ["list.txt:2", "list.txt:4", "list.txt:5", "list.txt:7"]
    assert [error.split(": ")[0] for error in reader.left_out] == ["list.txt:2", "list.txt:4", "list.txt:5",
                                                                   "list.txt:7"]
    assert "no file 6.png" in reader.left_out[3]
    assert reader.source_files == [f"{i}.png" for i in range(6)]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_resume_sees_the_same_after_images_were_left_out(shuffle, bad):
    """The cursor counts places in the order, those of bad images included."""
    rng.seed(5)
    first = layer(batch_size=2, shuffle=shuffle)
    expected = batches(first, 7)
    if not shuffle:
        assert first.cursor == 4 * 7 + 3  # fourteen images: three of each epoch, then 0.png and 2.png
    second = layer(batch_size=2, shuffle=shuffle)
    top = set_up(second, 2)
    rng.seed(5)
    first = layer(batch_size=2, shuffle=shuffle)
    batches(first, 3)
    second.resume_from(first.resume_state())
    seen = []
    for _ in range(4):
        second.Forward([], top)
        seen.append(top[1].data.astype(int).tolist())
    assert seen == expected[3:]


def test_whole_epochs_end_with_the_epoch(bad):
    """With partial_last_batch a batch with bad images is smaller, and one without any image is passed over."""
    reader = layer(batch_size=2)
    top = set_up(reader, 2)
    reader.whole_epochs = True
    found = []
    for _ in range(5):
        reader.reshape([], top)
        reader.Forward([], top)
        found.append((top[1].data.astype(int).tolist(), reader.cursor))
    assert found == [([0], 2), ([2], 4), ([5], 6), ([0], 9), ([2], 11)]


def test_nothing_but_bad_images(bad):
    """Where no image can be read, this is an error and no endless search."""
    for i in range(7):
        (bad / f"{i}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"all 7 samples were left out, because none can be read; the first: "
                                        r"list\.txt:1: 0\.png is empty"):
        set_up(layer(batch_size=2), 2)


@pytest.mark.parametrize("sizes", ["equal", "one is larger"])
def test_images_are_transformed_alike_wherever_that_is_done(sizes, seven):
    """The layer's values have the bits of images that are transformed one by one, also where one has another size."""
    if sizes != "equal":
        larger = np.random.default_rng(8).integers(0, 256, (3, 9, 6), dtype=np.uint8)
        (seven / "3.png").write_bytes(image.encode(larger))
    rng.seed(9)
    transform = {"mirror": True, "crop_size": 2, "mean_value": [3, 70, 9], "scale": 0.3}
    reader = layer(transform, TRAIN, batch_size=3, shuffle=True)
    top = set_up(reader, 2)
    plain = copy.deepcopy(reader._batches)
    plain.transformer.only_crops = False
    plain.seek(0)
    for _ in range(6):
        reader.Forward([], top)
        assert (top[0].data == plain().data).all()
    reader.close()


# --- folders and archives ------------------------------------------------------------------------


@pytest.fixture
def classes(seven):
    """The seven images in folders: cat has 0, 3 and 6, "big dog" 1, 4 and ant, further down, 2 and 5."""
    (seven / "list.txt").unlink()
    for i, name in enumerate(("cat", "big dog", "ant/x", "cat", "big dog", "ant/x", "cat")):
        (seven / "set" / name).mkdir(parents=True, exist_ok=True)
        (seven / f"{i}.png").rename(seven / "set" / name / f"{i}.png")
    return seven


ORDER = [2, 5, 1, 4, 0, 3, 6]  # the classes are ant, "big dog" and cat
KINDS = {"set.tar": "w", "set.tar.gz": "w:gz", "set.tgz": "w:gz", "plain": "w", "packed": "w:gz"}


def make_tar(name, folder="set", inside=""):
    """Pack a folder. `inside` stands before the names in the tar."""
    with tarfile.open(name, KINDS[name]) as tar:
        tar.add(folder, inside or ".")


@pytest.mark.parametrize("inside", ["", "./", "a/b"])
@pytest.mark.parametrize("source", ["set", "set/", *KINDS])
def test_class_folders(source, inside, classes):
    """The sorted names of the folders are the classes, in a folder as in a tar, and labels.txt has them."""
    if source in KINDS:
        make_tar(source, inside=inside)
    reader = layer(source=source, batch_size=7)
    reader.Forward([], top := set_up(reader, 2))
    assert top[1].data.tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert (top[0].data == IMAGES[ORDER]).all()
    assert reader.keys[2] == "big dog/1.png"
    assert (classes / "labels.txt").read_text() == "ant\nbig dog\ncat\n"
    copied = copy.deepcopy(reader)
    copied.Forward([], top)
    assert (top[0].data == IMAGES[ORDER]).all()
    for one in (reader, copied):
        one.close()


def test_what_is_no_image_is_left_out(classes, caplog):
    """Other files are warned of, hidden ones are passed over, and a link that leads upwards is not followed."""
    (classes / "set/cat/notes.md").touch()
    (classes / "set/cat/.hidden.png").touch()
    (classes / "set/cat/Thumbs.db").touch()
    (classes / "set/.git").mkdir()
    (classes / "set/.git/1.png").touch()
    (classes / "set/cat/up").symlink_to("..")
    caplog.set_level(logging.WARNING)
    assert set_up(layer(source="set", batch_size=7), 2)[1].shape == (7,)
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "files in the folder set whose names are not those of images are left out: 1"]


def test_class_folders_and_the_phase(classes, caplog):
    """In TRAIN the user is told to shuffle, because otherwise the images come class by class."""
    set_up(layer(source="set", phase=TRAIN), 2)
    assert "Set shuffle: true" in caplog.text
    caplog.clear()
    set_up(layer(source="set", phase=TRAIN, shuffle=True), 2)
    set_up(layer(source="set"), 2)
    assert "shuffle" not in caplog.text


def test_labels_are_never_written_over(classes, caplog):
    """A labels.txt with other classes stays, and is warned of; so is a place that cannot be written to."""
    (classes / "labels.txt").write_text("mine\n")
    set_up(layer(source="set"), 2)
    assert "has other classes than set, where 0 is ant, 1 is big dog, 2 is cat" in caplog.text
    assert (classes / "labels.txt").read_text() == "mine\n"
    (classes / "labels.txt").unlink()
    (classes / "labels.txt").mkdir()
    caplog.clear()
    set_up(layer(source="set"), 2)
    assert "the classes cannot be written to" in caplog.text


@pytest.mark.parametrize(("spoil", "error", "message"), [
    (lambda: Path("set/x.png").touch(), DataError, r"the folder set holds images outside its class folders, the first "
                                                   r"of 1 is x\.png\n  hint: put each image"),
    (lambda: shutil.rmtree("set/ant") or shutil.rmtree("set/cat") or shutil.rmtree("set/big dog"), DataError,
     r"the folder set has no images in folders, one folder for each class"),
    (lambda: Path("set/bird").mkdir(), DataError, r"the folder set has a class folder without an image: bird\n  hint: "
                                                  r"fill it, or delete it in the training set and in the test set"),
    (lambda: Path("set/cat/0.png").write_bytes(b""), DataError, r"set/cat/0\.png is empty"),
    (lambda: Path("set/dog/x").mkdir(parents=True), DataError, "has a class folder without an image: dog"),
    (lambda: {"root_folder": "x/"}, LayerError, r"root_folder has no effect where source is a folder or a tar"),
    (lambda: {"label_size": 2}, LayerError, r"label_size must be 1 where source is a folder or a tar"),
])
def test_mistakes_with_class_folders(spoil, error, message, classes):
    """A folder without class folders is refused, and a bad image is named by its path."""
    param = spoil()
    with pytest.raises(error, match=message):
        set_up(layer(**{"source": "set", "batch_size": 7, "skip_bad": False, **(param or {})}), 2)


def test_a_class_folder_without_an_image_in_a_tar(classes):
    """It is refused in a tar too, wherever the class folders lie; hidden folders are passed over."""
    (classes / "set/.git").mkdir()
    make_tar("set.tar", inside="a/b")
    set_up(layer(source="set.tar"), 2)
    (classes / "set/bird").mkdir()
    make_tar("set.tar", inside="a/b")
    with pytest.raises(DataError, match="the tar set.tar has a class folder without an image: bird"):
        set_up(layer(source="set.tar"), 2)


@pytest.mark.parametrize(("names", "warned"), [(("train", "Test", "val"), True), (("train", "car", "ship"), False)])
def test_the_parts_of_a_data_set_are_no_classes(names, warned, classes, caplog):
    """Who gives the folder above train/ and test/ is told so; a class may be called train."""
    for old, new in zip(("ant", "big dog", "cat"), names, strict=True):
        (classes / "set" / old).rename(classes / "set" / new)
    set_up(layer(source="set"), 2)
    assert warned == ("look like the parts of a data set and not like classes" in caplog.text)


@pytest.mark.parametrize("kept", [0.2, 0.9])
@pytest.mark.parametrize("name", ["set.tar", "set.tar.gz"])
def test_an_archive_that_is_cut_off(name, kept, classes):
    """A tar without its end is refused before an image of it is read, and no temporary file stays."""
    make_tar(name)
    data = Path(name).read_bytes()
    Path(name).write_bytes(data[:int(len(data) * (kept if name.endswith("gz") else kept / 3))])
    with pytest.raises(DataError, match=rf"the tar {name}( is cut off|: )"):
        set_up(layer(source=name), 2)


@pytest.mark.parametrize(("change", "message"), [
    (lambda data, at: data[:at + 150] + b"x" + data[at + 151:], r"is damaged: the header at byte {at} has another"),
    (lambda data, at: data[:at], r"is cut off: it has no end mark"),
    (lambda data, at: data[:at + 100], r"is cut off: it has no end mark"),
    (lambda data, at: b"\x1f\x8b\x08\0\0\0\0\0\0\3\xff" + data, r"cannot read the tar set\.tar: "),
    (lambda data, at: bz2.compress(data), r"cannot read the tar set\.tar: .*\n  hint: a tar may be packed by gzip"),
])
def test_an_archive_that_is_damaged(change, message, classes):
    """No image is left out because tarfile takes a damaged header for the end of the tar."""
    make_tar("set.tar")
    with tarfile.open("set.tar") as tar:
        at = tar.getmember("./cat/3.png").offset
    Path("set.tar").write_bytes(change(Path("set.tar").read_bytes(), at))
    with pytest.raises(DataError, match=message.format(at=at)):
        set_up(layer(source="set.tar"), 2)


def test_links_in_an_archive(classes):
    """Links are followed within the tar, as when it is unpacked; what they do not lead to is an error."""
    with tarfile.open("set.tar", "w") as tar:
        tar.add("set", "x")
        for name, kind, target in (("x/cat/7.png", tarfile.LNKTYPE, "x/ant/x/2.png"),
                                   ("x/cat/8.png", tarfile.SYMTYPE, "../cat/7.png"),
                                   ("LICENSE", tarfile.SYMTYPE, "y"), ("y", tarfile.DIRTYPE, "")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    reader = layer(source="set.tar", batch_size=9, skip_bad=False)
    reader.Forward([], top := set_up(reader, 2))
    assert (top[0].data == IMAGES[[*ORDER, 2, 2]]).all()
    assert top[1].data.tolist() == [0, 0, 1, 1, 2, 2, 2, 2, 2]
    reader.close()
    for kind, target in ((tarfile.SYMTYPE, "7.png"), (tarfile.LNKTYPE, "7.png"), (tarfile.CHRTYPE, "")):
        with tarfile.open("set.tar", "a") as tar:
            member = tarfile.TarInfo("x/cat/9.png")
            member.type, member.linkname = kind, target if kind == tarfile.SYMTYPE else "x/cat/9.png"
            tar.addfile(member)
        if kind != tarfile.SYMTYPE:
            with pytest.raises(DataError, match=r"x/cat/9\.png in the tar set\.tar is no ordinary file, nor a link"):
                set_up(layer(source="set.tar"), 2)


def test_links_between_class_folders(classes):
    """A link to another class makes a class with the same images; one that leads upwards is not followed."""
    (classes / "set/dog").symlink_to("big dog")
    (classes / "set/ant/x/up").symlink_to(classes / "set")
    (classes / "set/ant/y").symlink_to("x")
    (classes / "set/self").symlink_to(".")
    (classes / "set/cat/loop.txt").symlink_to("loop.txt")
    reader = layer(source="set", batch_size=11)
    reader.Forward([], top := set_up(reader, 2))
    assert top[1].data.tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 3]
    assert (top[0].data == IMAGES[[2, 5, 2, 5, 1, 4, 0, 3, 6, 1, 4]]).all()
    assert (classes / "labels.txt").read_text() == "ant\nbig dog\ncat\ndog\n"
    reader.close()


@pytest.mark.parametrize("source", ["set", "set.tar"])
def test_a_class_folder_without_images(source, classes):
    """It is an error: without the class, those behind it would have other numbers than in another set."""
    (classes / "set/bird/.hidden").mkdir(parents=True)
    (classes / "set/bird/.hidden/1.png").touch()
    make_tar("set.tar")
    with pytest.raises(DataError, match=rf"the \w+ {source} has a class folder without an image: bird\n"):
        set_up(layer(source=source), 2)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_labels_txt_is_a_pipe(classes, caplog):
    """Nobody writes to it, and nothing waits for that. A name with a line end stays in one line of labels.txt."""
    os.mkfifo("labels.txt")
    set_up(layer(source="set"), 2)
    assert "the classes cannot be written to" in caplog.text
    os.unlink("labels.txt")
    os.rename("set/cat", "set/c\na t")
    set_up(layer(source="set"), 2)
    assert Path("labels.txt").read_text() == "ant\nbig dog\nc\\na t\n"
    caplog.clear()
    Path("labels.txt").write_text("ant\nbig\ndog\nc\\na t\n")
    set_up(layer(source="set"), 2)
    assert "has other classes than set" in caplog.text


def test_the_temporary_file_is_deleted(classes, monkeypatch):
    """The temporary file of a compressed tar is deleted together with the layer."""
    (classes / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(classes / "tmp"))
    make_tar("set.tgz")
    reader = layer(source="set.tgz", batch_size=7)
    reader.Forward([], set_up(reader, 2))
    assert len(list((classes / "tmp").iterdir())) == 1
    reader.close()
    del reader
    gc.collect()
    assert not list((classes / "tmp").iterdir())


def test_a_bad_image_in_an_archive_is_left_out(classes):
    """skip_bad leaves out a bad image in a tar, and the warning says in which tar it is."""
    Path("set/cat/3.png").write_bytes(b"no image")
    make_tar("set.tar")
    reader = layer(source="set.tar", batch_size=6)
    reader.Forward([], top := set_up(reader, 2))
    assert (top[0].data == IMAGES[[2, 5, 1, 4, 0, 6]]).all()
    reader.close()
    assert reader.left_out == ["cat/3.png in set.tar is no image that can be decoded (8 bytes)"]


# --- WindowData ----------------------------------------------------------------------------------


@pytest.fixture
def windows(seven):
    """A window file with an object and a place of background in each of the seven images; two of them are bad."""
    (seven / "windows.txt").write_text("".join(
        f"# {i}\n{i}.png\n3\n5\n2\n2\n{i + 1} 1 0 0 1 4\n0 0 0 0 1 4\n" for i in range(7)))
    (seven / "2.png").write_bytes(b"")
    (seven / "5.png").unlink()
    return seven


def window_layer(**param):
    return WindowDataLayer(phase=TEST, transform_param={"crop_size": 5}, window_data_param={
        "source": "windows.txt", "batch_size": 200, "fg_fraction": 0.5, "skip_bad": True, **param})


@pytest.mark.parametrize("cache", [False, True])
def test_windows_of_bad_images_are_left_out(cache, windows):
    """The next window of the same kind takes the place of one whose image cannot be read."""
    rng.seed(3)
    reader = window_layer(cache_images=cache)
    reader.Forward([], top := set_up(reader, 2))
    labels = top[1].data.astype(int)
    assert not labels[:100].any()
    assert set(labels[100:]) == {1, 2, 4, 5, 7}
    for y, label in zip(top[0].data[100:], labels[100:], strict=True):
        assert (y == image.resize(IMAGES[label - 1], (5, 5))).all()
    reader.close()
    assert sorted(error.split(", which")[0] for error in reader.left_out) == [
        "windows.txt:18: 2.png is empty", "windows.txt:42: there is no file 5.png"]
    assert reader.source_files == [f"{i}.png" for i in (0, 1, 2, 3, 4, 6)]


def test_windows_without_any_image(windows):
    """Where no image can be read, this is an error and no endless search."""
    for i in range(7):
        (windows / f"{i}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"all images with background windows were left out, because none can be read; "
                                        r"the first: windows\.txt:\d+: \d\.png is empty"):
        set_up(window_layer(), 2)


def test_a_window_file_with_a_missing_image(windows):
    """Without skip_bad, every image must be there at set-up; where none is, root_folder may be wrong."""
    with pytest.raises(DataError, match=r"windows\.txt:42: there is no file 5\.png, which"):
        set_up(window_layer(skip_bad=False), 2)
    (windows / "x").mkdir()
    with pytest.raises(DataError, match=r"windows\.txt:2: there is no file x/0\.png.*\n  hint: leave out root_folder"):
        set_up(window_layer(skip_bad=False, root_folder="x/"), 2)


def test_a_path_with_blanks_in_a_window_file(seven):
    """A path fills its line, and may stand in quotes."""
    (seven / "a b.png").write_bytes(image.encode(IMAGES[0]))
    for name in ("a b.png", '"a b.png"'):
        (seven / "windows.txt").write_text(f"# 0\n{name}\n3\n5\n2\n2\n1 1 0 0 1 4\n0 0 0 0 1 4\n")
        assert set_up(window_layer(skip_bad=False), 2)[0].shape == (200, 3, 5, 5)


@pytest.mark.parametrize("text", [
    "# 0 0.png 3 5 4 2 1 0.9 0 0 1 4 0 0.1 1 1 2 2 # 1 1.png 3 5 4 1 3 0.8 0 0 2 2",
    "# 7\n0.png\n3 5 4\n2\n1 0.9\n0 0 1 4\n0 0.1 1 1 2 2\n#\n1\n1.png\n3\n5\n4\n1\n3 0.8 0 0 2 2\n"])
def test_a_window_file_with_other_line_ends(seven, text):
    """Caffe reads words, wherever lines end. An index is only a number: the path says which image is meant."""
    (seven / "windows.txt").write_text(text)
    found = read_window_file("windows.txt", "", 0.5, 0.5)

    assert ["0.png", "1.png"] == found.paths
    assert [Window("0.png", 1, 0, 0, 1, 4), Window("1.png", 3, 0, 0, 2, 2)] == found.foreground
    assert [Window("0.png", 0, 1, 1, 2, 2)] == found.background


@pytest.mark.parametrize(("text", "words"), [
    ("# 0\n0.png\n3\n5\n4\n2\n1 0.9 0 0 1 4 7\n0 0 0 0 1 1\n", r"windows.txt:7: expected 6 numbers"),
    ("# 0 0.png 3 5 4 2000000000 1 0.9 0 0 1 4", r"windows.txt:1: expected '# INDEX', got '# 0 0.png"),
    ("# 0\n0.png\n3\n5\n4\n", "ends in the middle of an image")])
def test_a_window_file_of_another_form(seven, text, words):
    """The error is the one of the usual form."""
    (seven / "windows.txt").write_text(text)
    with pytest.raises(DataError, match=words):
        read_window_file("windows.txt", "", 0.5, 0.5)
