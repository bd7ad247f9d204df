"""Blob: shapes, storage, sharing."""

import copy

import numpy as np
import pytest

from minicaffe import Blob
from minicaffe.blob import MAX_AXES
from minicaffe.errors import LayerError
from minicaffe.io.binary import array_to_blob, blob_to_array


def test_a_new_blob_is_zero():
    """Data and diff begin as zeros of the blob's shape and type."""
    blob = Blob((2, 3), np.float64)

    assert np.zeros((2, 3)).tolist() == blob.data.tolist() == blob.diff.tolist()
    assert np.float64 == blob.data.dtype == blob.diff.dtype


def test_reshape_keeps_values_and_capacity():
    """A smaller shape reads the same memory, and a larger one replaces it by zeros."""
    blob = Blob((2, 3))
    blob.data[...] = np.arange(6).reshape(2, 3)
    blob.reshape(5)

    assert [0, 1, 2, 3, 4] == blob.data.tolist()
    blob.reshape([3, 2])
    assert [[0, 1], [2, 3], [4, 5]] == blob.data.tolist()
    blob.reshape(7)
    assert [0] * 7 == blob.data.tolist()


@pytest.mark.parametrize("shape", [(2**49,), (2**30, 2**30), (0, 2**49), (0, 2**63 - 1, 2**63 - 1), (2**70, 0)])
def test_shapes_that_no_memory_holds(shape):
    """They are refused before numpy sees them, beside a size of 0 too, and the blob stays as it was."""
    blob = Blob((2, 3))
    with pytest.raises(LayerError, match="a blob holds at most 281474976710656 numbers, got "):
        blob.reshape(shape)
    assert (2, 3) == blob.shape


@pytest.mark.parametrize(("name", "value", "cure"), [("shape", (3, 2), r"blob\.reshape\("),
                                                     ("data", np.ones((2, 3)), r"blob\.data\[\.\.\.\] = array"),
                                                     ("diff", 0, r"blob\.diff\[\.\.\.\] = array")])
def test_shape_and_arrays_are_not_assigned(name, value, cure):
    """The error says what to write instead, and the blob is as it was."""
    blob = Blob((2, 3))
    data = blob.data

    with pytest.raises(AttributeError, match=f"a blob's {name} cannot be assigned: {cure}"):
        setattr(blob, name, value)

    assert blob.shape == (2, 3)
    assert blob.data is data


def test_sharing_survives_growth():
    """Two blobs on one storage stay on one storage when one of them makes it grow."""
    owner, user = Blob((2,)), Blob((2,))
    user.share_data(owner)
    owner.reshape(9)
    user.reshape(9)
    owner.data[...] = np.arange(9)

    assert list(range(9)) == user.data.tolist()
    assert user.shares_data_with(owner)
    user.diff[...] = 1
    assert 0 == owner.diff.sum()


def test_legacy_accessors():
    """The legacy sizes num, channels, height and width read missing axes as 1 and refuse a fifth axis."""
    assert (2, 3, 1, 1) == tuple(getattr(Blob((2, 3)), n) for n in ("num", "channels", "height", "width"))
    assert (2, 3, 4, 5) == tuple(getattr(Blob((2, 3, 4, 5)), n) for n in ("num", "channels", "height", "width"))
    with pytest.raises(LayerError, match=r"at most 4 axes, got \(1, 2, 3, 4, 5\)"):
        _ = Blob((1, 2, 3, 4, 5)).num


def test_axes():
    """Negative axes count from the back, and one out of range is named with the shape."""
    blob = Blob((2, 3, 5))

    assert (2, 1) == (blob.canonical_axis(-1), blob.canonical_axis(1))
    assert (30, 15, 3) == (blob.count, blob.count_between(1), blob.count_between(1, 2))
    with pytest.raises(LayerError, match=r"axis 3 is out of range for a blob with 3 axes \(2, 3, 5\)"):
        blob.canonical_axis(3)


def test_shape_limits():
    """More than 32 axes and negative sizes are refused with the numbers."""
    with pytest.raises(LayerError, match="at most 32 axes, got 33"):
        Blob((1,) * (MAX_AXES + 1))
    with pytest.raises(LayerError, match=r"cannot be negative, got \(2, -3\)"):
        Blob((2, -3))


def test_norms_and_update():
    """The values of asum, sumsq and the step down the gradient on four numbers."""
    blob = Blob((4,))
    blob.data[...] = [1, -2, 3, -4]
    blob.diff[...] = [1, 1, -1, -1]

    assert (10, 30, 4, 4) == (blob.asum_data(), blob.sumsq_data(), blob.asum_diff(), blob.sumsq_diff())
    blob.update()
    assert [0, -3, 4, -3] == blob.data.tolist()


def test_sum_of_squares_does_not_stall():
    """The sum goes on where a float32 running sum stops, at 2 to the 24."""
    blob = Blob((1 << 25,))
    blob.data.fill(1)

    assert 1 << 25 == blob.sumsq_data()


def test_copy_from_needs_the_shape():
    """A copy between shapes is refused with both, unless a reshape is asked for."""
    source, target = Blob((2, 3)), Blob((6,))
    source.data[...] = 4
    with pytest.raises(LayerError, match=r"\(2, 3\) into one of shape \(6,\)"):
        target.copy_from(source)
    target.copy_from(source, reshape=True)

    assert [[4] * 3] * 2 == target.data.tolist()


def test_to_proto_and_back():
    """A blob's numbers survive BlobProto, float64 ones included."""
    values = np.random.default_rng(3).standard_normal((2, 7, 5))
    single, double = blob_to_array(array_to_blob(values.astype(np.float32))), blob_to_array(array_to_blob(values))

    assert values.astype(np.float32).tolist() == single.tolist()
    assert values.tolist() == double.tolist()


def test_a_cleared_diff_reads_as_zeros():
    """Clearing is seen by every blob on the storage, and the next writer may overwrite."""
    owner, user = Blob((2, 3)), Blob((6,))
    user.share_diff(owner)
    owner.diff[...] = 5
    owner.clear_diff()

    assert [0] * 6 == user.diff.tolist()
    owner.clear_diff()
    diff, add = owner.diff_to_add()
    assert not add
    diff[...] = 7
    assert [7] * 6 == user.diff.tolist()
    assert user.diff_to_add()[1]


def test_a_blob_larger_than_any_memory():
    """Count and shape, though a size of 0 hide the others; nothing is allocated below the limit."""
    with pytest.raises(LayerError, match=r"281474976710656 numbers, got 562949953421312: \(2, 281474976710656\)"):
        Blob((2, 2**48))
    with pytest.raises(LayerError, match=r"numbers, got 4611686018427387904: \(4611686018427387904, 0\)"):
        Blob((2**62, 0))
    assert 2**48 == Blob((2**40, 2**8)).count


def test_copies_share_among_themselves():
    """Of blobs copied together those that shared memory share, and none shares the original's."""
    one, other = Blob((2, 3)), Blob(6)
    other.share_data(one)
    one.data[...] = other.data.sum() + 4
    mine, second = copy.deepcopy([one, other])
    mine.data[0, 1] = 7

    assert [4, 7, 4, 4, 4, 4] == second.data.tolist()
    assert [4] * 6 == other.data.tolist()
