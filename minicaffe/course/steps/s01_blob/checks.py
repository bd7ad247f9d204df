"""The checks of step 1: a blob keeps its two arrays, and changes them in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicaffe.course.checking import Draw, Mistake, compare, expect
from minicaffe.course.student import Student

REPLACED = ("someone else may hold the old array, such as a layer or a solver, and would never see the new numbers. "
            "Write into the array that is there.")


def check_new_blob(my: Student, draw: Draw) -> None:
    """A new blob has a data and a diff of its shape, zeros of float64, each with memory of its own."""
    shape = draw.sizes(3)
    blob = my.blob.Blob(shape)
    for name in ("data", "diff"):
        array, called = getattr(blob, name), f"Blob({shape}).{name}"
        compare(called, array, np.zeros(shape), [Mistake(
            "not_zeros", np.ones(shape), "a blob begins with zeros: what is added to a diff must begin at 0")])
        expect(array.dtype == np.float64, f"{called}.dtype", array.dtype, "float64", "number_type",
               "float64 has 16 digits. With fewer, difference quotients in step 3 would be too inexact.")
    expect(not np.shares_memory(blob.data, blob.diff), "Blob(shape).data and .diff", "one array for both", "two arrays",
           "one_array", "`a = b = zeros` makes one array with two names. What is written into diff would change data.")
    other = my.blob.Blob(shape)
    expect(not np.shares_memory(blob.data, other.data), "the data of two blobs", "one array for both", "two arrays",
           "shared_by_all", "each blob needs arrays of its own. Attributes of the class, and default values of "
           "arguments, are made once and shared by all.")


def check_shape_and_count(my: Student, draw: Draw) -> None:
    """The shape is a tuple, and count is the product of its sizes; a shape () holds one number."""
    for shape in (draw.sizes(3), draw.sizes(2), ()):
        blob = my.blob.Blob(shape)
        expect(isinstance(blob.shape, tuple), f"Blob({shape}).shape", repr(blob.shape), repr(shape), "shape_type",
               "a shape is a tuple, as numpy's arrays have it")
        expect(blob.shape == shape, f"Blob({shape}).shape", blob.shape, shape, "wrong_shape",
               "the sizes stand in the order in which they were given")
        product = 1
        for size in shape:
            product *= size
        compare(f"Blob({shape}).count", blob.count, product, [
            Mistake("sum_of_sizes", sum(shape), "a shape (2, 3) has 2 rows of 3 numbers: sizes are multiplied"),
            Mistake("first_size", shape[0] if shape else 0, "that is the number of rows, as len(data) is"),
            Mistake("number_of_axes", len(shape), "that is the number of axes")])


def check_update(my: Student, draw: Draw) -> None:
    """A call of update() takes the step data −= diff, and leaves diff as it is."""
    blob, data, diff = _filled(my, draw)
    blob.update()
    compare("blob.update() → blob.data", blob.data, data - diff, [
        Mistake("uphill", data + diff, "diff points to where the loss grows. The step goes the other way."),
        Mistake("data_replaced_by_diff", -diff, "the step is taken from where data is: data − diff"),
        Mistake("nothing_done", data, "data is as it was before. `data = …` inside a function makes a local name.")])
    compare("blob.update() → blob.diff", blob.diff, diff, [
        Mistake("diff_cleared", np.zeros_like(diff), "update leaves diff alone; clear_diff is called when it is time")])


def check_in_place(my: Student, draw: Draw) -> None:
    """What update() and clear_diff() write is seen by whoever has fetched the arrays before."""
    blob, data, diff = _filled(my, draw)
    held_data, held_diff = blob.data, blob.diff
    blob.update()
    expect(blob.data is held_data and np.array_equal(held_data, data - diff), "held = blob.data; blob.update()",
           "blob.data is another array than held", "the same array, with new numbers", "data_replaced", REPLACED)
    blob.clear_diff()
    expect(blob.diff is held_diff, "held = blob.diff; blob.clear_diff()", "blob.diff is another array than held",
           "the same array, full of zeros", "diff_replaced", REPLACED)
    compare("blob.clear_diff() → blob.diff", blob.diff, np.zeros_like(diff), [
        Mistake("not_cleared", diff, "diff is as it was before")])
    compare("blob.clear_diff() → blob.data", blob.data, data - diff, [
        Mistake("data_cleared", np.zeros_like(data), "only diff becomes 0: data may be what the net has learned")])


def check_same_shape(my: Student, draw: Draw) -> None:
    """A reshape to the shape that the blob has changes nothing, be it given as a tuple or as a list."""
    for kind in (tuple, list):
        blob, data, diff = _filled(my, draw)
        held, called = blob.data, f"blob.reshape({kind(data.shape)!r}) of a blob of this shape"
        blob.reshape(kind(data.shape))
        compare(f"{called} → blob.data", blob.data, data, [_lost(kind, data)])
        compare(f"{called} → blob.diff", blob.diff, diff, [_lost(kind, diff)])
        expect(blob.data is held, called, "blob.data is another array", "the same array", "same_shape_replaced",
               REPLACED)


def check_new_shape(my: Student, draw: Draw) -> None:
    """A reshape to another shape gives both arrays that shape, full of zeros."""
    blob, data, diff = _filled(my, draw)
    new = (data.shape[1] + 9, data.shape[0] + 5, 2)
    blob.reshape(new)
    for name, before in (("data", data), ("diff", diff)):
        called = f"blob.reshape({new}) of a blob of shape {data.shape} → blob.{name}"
        compare(called, getattr(blob, name), np.zeros(new), [
            Mistake("one_array_reshaped", before, f"{name} is as it was before: both arrays take the new shape")])
    expect(blob.shape == new and blob.count == blob.data.size, "blob.shape, blob.count", f"{blob.shape}, {blob.count}",
           f"{new}, {blob.data.size}", "old_shape_kept", "shape and count must follow the arrays: compute them "
           "when they are asked for, or set them in reshape")


def check_asum(my: Student, draw: Draw) -> None:
    """The sums asum_data and asum_diff add up the sizes of the numbers, without their signs."""
    blob, data, diff = _filled(my, draw)
    for array in (data, diff):
        array *= -np.sign(array.sum())  # below 0, so that the sum and its absolute value differ
    blob.data[...], blob.diff[...] = data, diff
    for name, array, other in (("data", data, diff), ("diff", diff, data)):
        compare(f"blob.asum_{name}()", getattr(blob, f"asum_{name}")(), sum(abs(float(v)) for v in array.flat), [
            Mistake("plain_sum", array.sum(), "numbers of either sign cancel: take the absolute values first"),
            Mistake("absolute_sum", abs(array.sum()), "take the absolute value of each number, and then the sum"),
            Mistake("other_array", np.abs(other).sum(), "that is the sum of the other array"),
            Mistake("mean", np.abs(array).mean(), "a sum, not a mean"),
            Mistake("norm", np.sqrt((array ** 2).sum()), "Σ |v|, not √Σ v²"),
            Mistake("sum_of_one_axis", np.abs(array).sum(0), "the sum of all axes, which is one number")])


def _filled(my: Student, draw: Draw) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a blob of the student's with numbers in it, and copies of its data and diff."""
    shape = draw.sizes(2)
    data, diff, blob = draw.numbers(*shape), draw.numbers(*shape), my.blob.Blob(shape)
    blob.data[...], blob.diff[...] = data, diff
    return blob, data, diff


def _lost(kind: type, array: np.ndarray) -> Mistake:
    hint = "the numbers are gone. Layers call reshape before each pass, so it must not touch a blob that has its shape."
    if kind is list:
        return Mistake("list_is_not_tuple", np.zeros_like(array), f"{hint} [2, 3] == (2, 3) is False in Python.")
    return Mistake("same_shape_cleared", np.zeros_like(array), hint)
