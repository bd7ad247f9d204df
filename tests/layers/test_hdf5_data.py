"""HDF5Data: the order of rows, reading ahead, transform_param, resuming, and files that change or vanish."""

import gc
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from extras import needs

from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.data import hdf5 as data_hdf5
from minicaffe.data import rows as data_rows
from minicaffe.errors import DataError, LayerError
from minicaffe.io import hdf5
from minicaffe.io.binary import write_blob
from minicaffe.layers.data.hdf5_data import HDF5DataLayer
from minicaffe.proto import TEST, TRAIN

COUNTS = (9, 4, 7)
X = np.arange(20 * 3 * 5 * 4).reshape(20, 3, 5, 4) % 251
Y = np.arange(20)


@pytest.fixture(autouse=True)
def with_h5py():
    needs("h5py")


@pytest.fixture(params=["kept", "sliced"])
def memory(request, monkeypatch):
    """Whether all rows stay in memory, or only some are read at once: the batches are the same."""
    if request.param == "sliced":
        some_at_once(monkeypatch)


def some_at_once(monkeypatch, count=6):
    """Let `count` rows of X and Y be read at once, in small pieces of the file."""
    monkeypatch.setattr(data_hdf5, "KEPT", 0)
    for name in ("IN_ORDER", "SHUFFLED"):
        monkeypatch.setattr(data_rows, name, count * 61 * 4)
    for name in ("PIECE", "SPARSE_PIECE"):
        monkeypatch.setattr(hdf5, name, 3 * 60 * 8)


def write(folder, counts=COUNTS, x=X, y=Y, **options):
    """Files of so many rows each, and their list; `options` go to h5py's create_dataset of x."""
    ends = np.cumsum(counts)
    for i, (end, count) in enumerate(zip(ends, counts, strict=True)):
        def fill(file, here=slice(end - count, end)):
            file.create_dataset("x", data=x[here], **options)
            file["y"] = y[here]

        hdf5.write_file(folder / f"{i}.h5", fill)
        os.utime(folder / f"{i}.h5", (1e9, 1e9))
    (folder / "list").write_text("\n".join(f"{folder}/{i}.h5" for i in range(len(counts))))


def make(folder, phase=TRAIN, transform=None, top=("x", "y"), dtype=np.float32, **param):
    """An HDF5Data layer that is set up, and its tops."""
    fields = {"transform_param": transform} if transform else {}
    layer = HDF5DataLayer(phase=phase, top=top, dtype=dtype, **fields, hdf5_data_param={
        "source": str(folder / "list"), "batch_size": 6, **param})
    layer.check_fields()
    tops = [Blob((), dtype) for _ in top]
    layer.SetUp([], tops)
    return layer, tops


def numbers(layer, tops, batches):
    """The rows' numbers in the next batches; each row of x must be that of its y."""
    found = []
    for _ in range(batches):
        layer.Forward([], tops)
        found.append(tops[1].data.astype(int).tolist())
        assert (tops[0].data == X[found[-1]]).all()
        assert [f"{i}" for i in found[-1]] == [number_of(key) for key in layer.keys]
    return found


def flat(batches):
    return [number for batch in batches for number in batch]


def number_of(key):
    """The number of a row from its key, FILE[ROW]."""
    file, row = key[:-1].rsplit("[", 1)
    return f"{int(row) + sum(COUNTS[:int(file[-4])])}"


def order_by_hand(seed, count, shuffle=True):
    """The first rows in file by file order, as earlier versions of minicaffe read them, and (file, row) of each."""
    begins = np.cumsum([0, *COUNTS])
    file, found, places = 0, [], []
    while len(found) < count:
        epoch, position = divmod(file, len(COUNTS))
        files = np.random.default_rng([seed, 0, epoch]).permutation(3) if shuffle else np.arange(3)
        size = COUNTS[files[position]]
        rows = np.random.default_rng([seed, 1, file]).permutation(size) if shuffle else np.arange(size)
        found += (begins[files[position]] + rows).tolist()
        places += [(file, row) for row in range(size)]
        file += 1
    return found[:count], places[:count]


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("storage", [{}, {"chunks": (2, 3, 2, 4)}, {"chunks": (4, 3, 5, 4), "compression": "gzip"},
                                     {"dtype": ">i4"}, {"dtype": "u1"}, {"dtype": ">f8", "chunks": True}])
@pytest.mark.parametrize("shuffle", [False, True])
def test_rows_file_by_file(storage, shuffle, tmp_path):
    """The order follows from the seed by the same rule as ever, however the numbers are stored."""
    write(tmp_path, **storage)
    rng.seed(5)
    layer, tops = make(tmp_path, shuffle=shuffle)
    seed = layer.resume_state()["seeds"][0] if shuffle else 0
    expected = order_by_hand(seed, 60, shuffle)[0]

    assert expected == flat(numbers(layer, tops, 10))


@pytest.mark.usefixtures("memory")
def test_rows_across_files(tmp_path):
    """With shuffle_across_files each epoch has every row once, in an order that mixes the files."""
    write(tmp_path)
    rng.seed(3)
    layer, tops = make(tmp_path, shuffle_across_files=True, batch_size=5)
    epochs = [flat(numbers(layer, tops, 4)) for _ in range(6)]
    owners = [np.repeat(range(3), COUNTS)[epoch] for epoch in epochs]

    assert all(sorted(epoch) == Y.tolist() for epoch in epochs)
    assert 6 == len({tuple(epoch) for epoch in epochs})
    assert all((np.diff(owner) != 0).sum() > 5 for owner in owners)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("mode", [{}, {"shuffle": True}, {"shuffle_across_files": True}])
def test_a_resume_is_exact(mode, tmp_path):
    """After any batch another layer with another seed goes on as the first one does; a cursor alone also does."""
    write(tmp_path)
    transform = {"mirror": True, "crop_size": 3}
    layer, tops = make(tmp_path, transform=transform, **mode)
    states, seen = [], []
    for _ in range(9):
        states.append(layer.resume_state())
        layer.Forward([], tops)
        seen.append(tops[0].data.copy())
    rng.seed(99)
    for at in (0, 1, 4, 8):
        other, theirs = make(tmp_path, transform=transform, **mode)
        other.resume_from(states[at])
        for i in range(at, 9):
            other.Forward([], theirs)
            assert (theirs[0].data == seen[i]).all()
    layer.cursor = 12
    layer.Forward([], tops)

    assert (tops[0].data == seen[2]).all()


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_resume_from_the_numbers_of_file_and_row(shuffle, tmp_path):
    """A .resume file of earlier versions goes on in the middle of the file and of the epoch in which it was written."""
    write(tmp_path)
    expected, places = order_by_hand(77, 60, shuffle)
    for at in (0, 8, 13, 19, 20, 41):
        layer, tops = make(tmp_path, shuffle=shuffle)
        file, row = places[at]
        layer.resume_from({"file": file, "row": row, "seeds": [77] if shuffle else []})

        assert expected[at:at + 18] == flat(numbers(layer, tops, 3))


def test_a_resume_that_makes_no_sense(tmp_path):
    """Negative numbers are refused, and a row beyond the end is the last one: the file was longer then."""
    write(tmp_path)
    layer, tops = make(tmp_path)
    with pytest.raises(LayerError, match="cannot go on at row -1 of file 2 with the seeds"):
        layer.resume_from({"file": 2, "row": -1, "seeds": []})
    with pytest.raises(LayerError, match="cannot go on after -6 samples"):
        layer.resume_from({"cursor": -6, "seeds": []})
    layer.resume_from({"file": 1, "row": 4000, "seeds": []})

    assert [[12, 13, 14, 15, 16, 17]] == numbers(layer, tops, 1)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(("phase", "sizes"), [(TEST, [6, 6, 6, 2, 6]), (TRAIN, [6, 6, 6, 6, 6])])
def test_the_last_batch_of_an_epoch(phase, sizes, tmp_path):
    """With partial_last_batch a test's last batch holds what is left; in training every batch is full."""
    write(tmp_path)
    layer, tops = make(tmp_path, phase, partial_last_batch=True)
    found = numbers(layer, tops, 5)

    assert sizes == [len(batch) for batch in found]
    assert (phase == TEST) == layer.whole_epochs
    assert (np.arange(sum(sizes)) % 20).tolist() == flat(found)


# --- numbers of all types, and transform_param ------------------------------------------------------------


@pytest.mark.usefixtures("memory")
def test_booleans_and_files_of_several_types(tmp_path):
    """Booleans are 0 and 1, and one file may hold integers where another one holds fractions."""
    write(tmp_path, (9,), y=Y % 3 == 0)
    write_second = {"x": X[9:] / 2, "y": Y[9:] / 4}
    hdf5.write_file(tmp_path / "1.h5", lambda file: file.update(write_second))
    (tmp_path / "list").write_text(f"{tmp_path}/0.h5 {tmp_path}/1.h5")
    layer, tops = make(tmp_path, batch_size=20)
    layer.Forward([], tops)

    assert [*(Y[:9] % 3 == 0), *(Y[9:] / 4)] == tops[1].data.tolist()
    assert (tops[0].data[9:] == X[9:] / 2).all()


@pytest.mark.usefixtures("memory")
def test_numbers_that_are_too_large(tmp_path):
    """A finite number that float32 does not hold is an error that names its row; infinity and NaN are numbers."""
    values = np.array([[1, np.inf], [np.nan, 3e38], [4, -1e300]])
    hdf5.write_file(tmp_path / "0.h5", lambda file: file.update({"x": values}))
    (tmp_path / "list").write_text(f"{tmp_path}/0.h5")
    layer, tops = make(tmp_path, top=["x"], batch_size=2)
    layer.Forward([], tops)
    assert np.array_equal(tops[0].data, values[:2].astype(np.float32), equal_nan=True)
    with pytest.raises(DataError, match=r"0\.h5\[2\] holds -1e\+300, which is too large for float32"):
        layer.Forward([], tops)


@pytest.mark.parametrize("name", ["text", "complex"])
def test_what_is_no_number(name, tmp_path):
    """Text and complex numbers are refused by the name of their dataset."""
    values = {"text": np.array([b"a", b"b"]), "complex": np.array([1j, 2])}[name]
    hdf5.write_file(tmp_path / "0.h5", lambda file: file.update({"x": values}))
    (tmp_path / "list").write_text(f"{tmp_path}/0.h5")
    with pytest.raises(DataError, match=r"0\.h5: /x is no array of numbers"):
        make(tmp_path, top=["x"])


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_images_are_transformed(phase, tmp_path):
    """The first top is cropped, mirrored, and shifted and scaled; the others stay as they are."""
    write(tmp_path)
    layer, tops = make(tmp_path, phase, {"mirror": True, "crop_size": 3, "scale": 0.5, "mean_value": [1, 2, 3]})
    found = set()
    for _ in range(20):
        layer.Forward([], tops)
        for y, number in zip(tops[0].data, tops[1].data.astype(int), strict=True):
            x = (X[number] - np.array([1, 2, 3]).reshape(3, 1, 1)) / 2
            found |= {(top, left, flip) for top in range(3) for left in range(2) for flip in (1, -1)
                      if (y == x[:, top:top + 3, left:left + 3][:, :, ::flip]).all()}

    assert found == ({(top, left, flip) for top in range(3) for left in range(2) for flip in (1, -1)}
                     if phase == TRAIN else {(1, 0, 1), (1, 0, -1)})


@pytest.mark.parametrize("mean", ["none", "one value", "a value each", "file"])
def test_rows_that_are_no_images_are_transformed(mean, tmp_path):
    """Rows of several numbers take a scale, and a mean of one value or of a value for each number."""
    write(tmp_path, x=X.reshape(20, 60))
    values = {"none": np.zeros(1), "one value": np.full(1, 7.5)}.get(mean, np.arange(60) / 4)
    write_blob(tmp_path / "mean.binaryproto", values.astype(np.float32).reshape(1, -1, 1, 1))
    given = {"none": {}, "file": {"mean_file": str(tmp_path / "mean.binaryproto")}}.get(mean, {"mean_value": values})
    layer, tops = make(tmp_path, transform={"scale": 0.25, **given})
    layer.Forward([], tops)

    assert (tops[0].data == (X[:6].reshape(6, 60) - values) / 4).all()


@pytest.mark.parametrize(("transform", "words"), [
    ({"mirror": True}, r"transform_param\.mirror needs images, but the rows of 'x' have the shape \(60,\), got True"),
    ({"crop_size": 3}, r"transform_param\.crop_size needs images, but the rows of 'x'"),
    ({"mean_value": [1, 2]}, r"mean_value is given 2 times, but .*0\.h5\[0\] has 60 channels"),
    ({"scale": 0}, "scale must not be 0"),
])
def test_transforms_that_do_not_fit_rows(transform, words, tmp_path):
    """A field that needs images, and a mean of another size, are refused with the shape of the rows."""
    write(tmp_path, x=X.reshape(20, 60))
    with pytest.raises(LayerError, match=words):
        make(tmp_path, transform=transform)


def test_forced_colours_have_no_effect(tmp_path, caplog):
    """force_color is about images that are decoded, so it is warned of."""
    write(tmp_path)
    make(tmp_path, transform={"force_color": True})

    assert "transform_param.force_color has no effect: rows are numbers" in caplog.text


# --- how the files are read -------------------------------------------------------------------------------


def test_small_files_are_read_once(tmp_path, monkeypatch):
    """Rows that fit into memory are read once, though they are used in many epochs."""
    write(tmp_path)
    calls, read_rows = [], hdf5.read_rows
    monkeypatch.setattr(hdf5, "read_rows", lambda *args: calls.append(1) or read_rows(*args))
    layer, tops = make(tmp_path, shuffle=True)
    numbers(layer, tops, 30)

    assert 6 == len(calls)  # three files with two datasets


@pytest.mark.parametrize("mode", [{}, {"shuffle": True}])
def test_large_files_are_read_in_large_parts(mode, tmp_path, monkeypatch):
    """Each part of the rows that is read serves several batches, and no row is read twice for one epoch in order."""
    write(tmp_path)
    some_at_once(monkeypatch, 30)
    counts, read = [], data_hdf5.HDF5Rows.read
    monkeypatch.setattr(data_hdf5.HDF5Rows, "read", lambda rows, n: counts.append(len(n)) or read(rows, n))
    layer, tops = make(tmp_path, batch_size=3, **mode)
    numbers(layer, tops, 40)
    layer.close()

    assert set(counts) == {30}
    assert len(counts) in (4, 5, 6)  # 120 rows, and those that the thread read in advance


def test_memory_stays_flat(tmp_path, monkeypatch):
    """In hundreds of batches from large files no memory is kept beyond that of the first ones."""
    write(tmp_path)
    some_at_once(monkeypatch, 12)
    layer, tops = make(tmp_path, shuffle=True)
    for _ in range(50):
        layer.Forward([], tops)
    gc.collect()
    tracemalloc.start()
    layer.Forward([], tops)
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(300):
        layer.Forward([], tops)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert after - before < 60_000  # a batch has 1,464 bytes, and at most 14 of them wait


def test_a_chunk_larger_than_what_is_read_at_once(tmp_path, monkeypatch):
    """A file whose rows lie in one chunk is not read again for each batch."""
    write(tmp_path, (20,), chunks=(20, 3, 5, 4))
    some_at_once(monkeypatch, 3)
    layer, tops = make(tmp_path)

    assert 40 == layer._batches._at_once
    assert [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]] == numbers(layer, tops, 2)


# --- files that vanish, change, are locked or never answer ------------------------------------------------


def run_until_error(layer, tops):
    for _ in range(40):
        layer.Forward([], tops)


def vanish(file):
    file.unlink()


def rewrite(file):
    hdf5.write_file(file, lambda new: new.update({"x": X[:4] + 1, "y": Y[:4]}))


def shorten(file):
    os.truncate(file, 700)


def touch(file):
    os.utime(file, (2e9, 2e9))


def become_a_pipe(file):
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(("change", "words"), [
    (vanish, r"list:2: there is no file .*1\.h5, which the list .*list names"),
    (rewrite, r"1\.h5 has changed since its first use\n  hint: the files must stay as they are"),
    (shorten, r"1\.h5: cannot read this HDF5 file: .*truncated"),
    (touch, r"1\.h5 has changed since its first use"),
    pytest.param(become_a_pipe, r"list:2: cannot read .*1\.h5, .* it is a pipe or a device, not an ordinary file",
                 marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")),
])
def test_a_file_that_changes_between_epochs(change, words, tmp_path, monkeypatch):
    """A file that changes is one error, which every later batch repeats; the batches before it are of the old file."""
    write(tmp_path)
    some_at_once(monkeypatch)
    layer, tops = make(tmp_path)
    layer.close()  # the thread that reads ahead may not have the file open when it changes
    change(tmp_path / "1.h5")
    layer.cursor = 0
    with pytest.raises(DataError, match=words):
        run_until_error(layer, tops)
    with pytest.raises(DataError, match=words):
        layer.Forward([], tops)
    layer.close()


@pytest.mark.parametrize("change", [vanish, rewrite, touch])
def test_a_file_that_is_in_memory_may_change(change, tmp_path):
    """Small files have been read, so what happens to them then does no harm."""
    write(tmp_path)
    layer, tops = make(tmp_path)
    layer.Forward([], tops)
    change(tmp_path / "1.h5")

    assert [[6, 7, 8, 9, 10, 11], [12, 13, 14, 15, 16, 17]] == numbers(layer, tops, 2)


def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    """A writer that begins between two reads of one file is noticed, and no batch mixes old and new rows."""
    write(tmp_path)
    read_rows = hdf5.read_rows

    def read_and_write(item, *rest):
        read_rows(item, *rest)
        os.utime(tmp_path / "2.h5", (3e9, 3e9))

    monkeypatch.setattr(hdf5, "read_rows", read_and_write)
    with pytest.raises(DataError, match=r"2\.h5( has changed since its first use|: this file is being written)"):
        make(tmp_path)


def test_a_file_that_another_program_writes(tmp_path):
    """A file that is open for writing elsewhere is refused at once: its lock is not waited for."""
    write(tmp_path)
    code = "import h5py, sys; f = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "1.h5")], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as writer:
        assert "open\n" == writer.stdout.readline()
        with pytest.raises(DataError, match=r"1\.h5: another program has this HDF5 file open to write it"):
            make(tmp_path)
        writer.stdin.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_list(tmp_path):
    """A pipe that nobody writes to is named, and not opened."""
    write(tmp_path)
    become_a_pipe(tmp_path / "0.h5")
    with pytest.raises(DataError, match=r"list:1: cannot read .*0\.h5, .* it is a pipe or a device"):
        make(tmp_path)
