"""Definitions without Splits and with them, and what comes out where a student errs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from minicaffe.course.checking import UNKNOWN, Wrong, expect
from minicaffe.course.student import Student


def layers_of(my: Student, text: str) -> list[Any]:
    """Return the definitions in a text, as the student's parser gives them."""
    return list(my.prototxt.parse(text)["layer"])


def refused(call: Any, called: str, name: str, hint: str) -> str:
    """Return the text of the ValueError that a call raises. Fail where it raises none."""
    try:
        call()
    except ValueError as error:
        return str(error)
    except KeyError as error:
        raise Wrong(called, f"KeyError: {error}", "a ValueError that says what is wrong", "key_error", "the user of "
                    "the net wants to know which layer and which name it is: ask whether the key is there") from None
    raise Wrong(called, "no error", "a ValueError that says what is wrong", name, hint)


def text_of(lines: str) -> str:
    """Return the definition of a net that is written in lines such as `act ReLU: h -> h`."""
    made = []
    for line in lines.strip().split("\n"):
        head, blobs = line.split(":")
        name, type_name = head.split()
        bottoms, tops = (part.split() for part in blobs.split("->"))
        fields = [f'name: "{name}" type: "{type_name}"', *(f'bottom: "{b}"' for b in bottoms),
                  *(f'top: "{t}"' for t in tops)]
        made.append(f"layer {{ {' '.join(fields)} param {{ lr_mult: 2 }} }}")
    return "\n".join(made)


def _lines(layers: Any) -> list[str]:
    """Return definitions as lines such as `act ReLU: h -> h`."""
    return [f"{' '.join(layer['name'])} {' '.join(layer['type'])}: {' '.join([*layer.get('bottom', []), '->'])} "
            f"{' '.join(layer.get('top', []))}" for layer in layers]


def _splits(my: Student, before: str, after: str, mistakes: Sequence[tuple[str, str, str]] = ()) -> None:
    """Fail where the student's insert_splits does not make `after` of `before`; mistakes: name, what comes out, hint.

    In all these texts { and } stand for the beginning and the end of the name of the Split: {h_act_0}.
    """
    def whole(text: str) -> list[str]:
        return [line.strip().replace("{", "").replace("}", "_split") for line in text.strip().split("\n")]

    layers = layers_of(my, text_of("\n".join(whole(before))))
    kept = copy.deepcopy(layers)
    made = my.insert_splits.insert_splits(layers)
    called = "insert_splits(" + " / ".join(whole(before)) + ")"
    expect(made is not None, called, None, "a list", "nothing_returned", "a function without `return` gives None")
    got, right = _lines(made), whole(after)
    if got != right:
        for name, wrong, hint in mistakes:
            expect(got != whole(wrong), called, " / ".join(got), " / ".join(right), name, hint)
        place = next((i for i, (a, b) in enumerate(zip(got, right, strict=False)) if a != b), min(len(got), len(right)))
        raise Wrong(called, got[place] if place < len(got) else f"{len(got)} layers",
                    right[place] if place < len(right) else f"{len(right)} layers", UNKNOWN, "none of the mistakes "
                    "that this check knows gives this. Print for each top who reads it.")
    expect(layers == kept, f"{called} → the definitions that were given", " / ".join(_lines(layers)),
           " / ".join(_lines(kept)), "definitions_changed", "the list and the dicts that were given stay as they are: "
           "dict(layer) is a new dict, but the lists in it are the old ones, so do not write into them either")
    for layer in made:
        expect("Split" in layer["type"] or any({**old, "bottom": None} == {**layer, "bottom": None} for old in kept),
               called, layer, "all fields of the layer, with other bottoms", "fields_lost",
               "a layer keeps all its fields, and only its bottoms change")


def of_first_tops(my: Student) -> None:
    """Fail where a top with two readers does not get a Split."""
    before = """data Input: -> x
                one Sigmoid: x -> a
                two Power: x -> b
                sum Eltwise: a b -> y"""
    right = """data Input: -> x
               {x_data_0} Split: x -> {x_data_0}_0 {x_data_0}_1
               one Sigmoid: {x_data_0}_0 -> a
               two Power: {x_data_0}_1 -> b
               sum Eltwise: a b -> y"""
    _splits(my, before, right, [
        ("no_split", before, "x has two readers, one and two: there must be a Split"),
        ("numbers_from_one", right.replace("}_1", "}_2").replace("}_0", "}_1"), "the tops of the Split count from _0"),
        ("one_top_for_all", right.replace("two Power: {x_data_0}_1", "two Power: {x_data_0}_0"), "each reader has its "
         "own top of the Split: the first reads _0, the second _1"),
        ("readers_keep_x", right.replace("one Sigmoid: {x_data_0}_0", "one Sigmoid: x").replace(
            "two Power: {x_data_0}_1", "two Power: x"), "the Split is there, but the readers still read x: their "
         "bottoms become the tops of the Split"),
        ("split_not_in_list", right.replace("               {x_data_0} Split: x -> {x_data_0}_0 {x_data_0}_1\n", ""),
         "the readers read the tops of a Split, which is not in the list itself"),
        ("order_of_readers", right.replace("one Sigmoid: {x_data_0}_0", "one Sigmoid: {x_data_0}_1").replace(
            "two Power: {x_data_0}_1", "two Power: {x_data_0}_0"), "the readers take the tops in their order"),
        ("split_before_its_layer", _moved(right, 1, 0), "the Split reads x, so it stands behind the layer that makes "
         "it"),
        ("split_at_the_end", _moved(right, 1, 4), "the readers run before this Split does: it stands directly behind "
         "the layer that makes x"),
        ("split_for_every_top", right.replace("one Sigmoid: {x_data_0}_0 -> a", "one Sigmoid: {x_data_0}_0 -> a\n"
                                              "{a_one_0} Split: a -> {a_one_0}_0").replace(
            "two Power: {x_data_0}_1 -> b", "two Power: {x_data_0}_1 -> b\n{b_two_0} Split: b -> {b_two_0}_0").replace(
            "sum Eltwise: a b", "sum Eltwise: {a_one_0}_0 {b_two_0}_0"), "a and b have one reader each, and need no "
         "Split")])
    for lines in ("data Input: -> x\none Sigmoid: x -> a\ntwo Sigmoid: a -> b", "data Input: -> x t"):
        _splits(my, lines, lines)


def _moved(lines: str, place: int, to: int) -> str:
    """Return lines of which one stands elsewhere."""
    made = lines.split("\n")
    made.insert(to, made.pop(place))
    return "\n".join(made)


def of_second_tops(my: Student) -> None:
    """Fail where the number of the top is not in the name, or a layer counts once that reads a blob twice."""
    before = """data Input: -> x t
                sum Eltwise: t t -> y
                act Sigmoid: x -> z"""
    right = """data Input: -> x t
               {t_data_1} Split: t -> {t_data_1}_0 {t_data_1}_1
               sum Eltwise: {t_data_1}_0 {t_data_1}_1 -> y
               act Sigmoid: x -> z"""
    _splits(my, before, right, [
        ("layers_counted", before, "one layer reads t here, but twice, and writes its diff twice: count the bottoms, "
         "and not the layers"),
        ("number_of_top", right.replace("t_data_1", "t_data_0"), "t is the second top of data, so the number is 1: "
         "t_data_1_split"),
        ("one_top_for_all", right.replace("sum Eltwise: {t_data_1}_0 {t_data_1}_1", "sum Eltwise: {t_data_1}_0 "
                                          "{t_data_1}_0"), "each bottom has its own top of the Split"),
        ("one_top_for_all", right.replace("sum Eltwise: {t_data_1}_0 {t_data_1}_1", "sum Eltwise: {t_data_1}_1 "
                                          "{t_data_1}_1"), "each bottom has its own top of the Split")])
    before = """data Input: -> x t
                one Eltwise: x t -> a
                two Eltwise: t x -> b"""
    right = """data Input: -> x t
               {x_data_0} Split: x -> {x_data_0}_0 {x_data_0}_1
               {t_data_1} Split: t -> {t_data_1}_0 {t_data_1}_1
               one Eltwise: {x_data_0}_0 {t_data_1}_0 -> a
               two Eltwise: {t_data_1}_1 {x_data_0}_1 -> b"""
    _splits(my, before, right, [("order_of_splits", _moved(right, 1, 2), "both tops of data get a Split, in the order "
                                 "of the tops")])


def in_place(my: Student) -> None:
    """Fail where a bottom does not mean what was made last before it."""
    before = """data Input: -> x
                ip InnerProduct: x -> h
                act ReLU: h -> h
                one Sigmoid: h -> a
                two Power: h -> b"""
    right = """data Input: -> x
               ip InnerProduct: x -> h
               act ReLU: h -> h
               {h_act_0} Split: h -> {h_act_0}_0 {h_act_0}_1
               one Sigmoid: {h_act_0}_0 -> a
               two Power: {h_act_0}_1 -> b"""
    _splits(my, before, right, [
        ("in_place_forgotten", """data Input: -> x
                                  ip InnerProduct: x -> h
                                  {h_ip_0} Split: h -> {h_ip_0}_0 {h_ip_0}_1 {h_ip_0}_2
                                  act ReLU: {h_ip_0}_0 -> h
                                  one Sigmoid: {h_ip_0}_1 -> a
                                  two Power: {h_ip_0}_2 -> b""", "one and two read what act has made of h, and not "
         "what ip has made. Readers are counted for each top, and not for each name."),
        ("reads_its_own_top", """data Input: -> x
                                 ip InnerProduct: x -> h
                                 act ReLU: {h_act_0}_0 -> h
                                 {h_act_0} Split: h -> {h_act_0}_0 {h_act_0}_1 {h_act_0}_2
                                 one Sigmoid: {h_act_0}_1 -> a
                                 two Power: {h_act_0}_2 -> b""", "act reads h before it makes h: look up the bottoms "
         "of a layer before you enter its tops, and look at layers before it alone"),
        ("named_after_first_maker", right.replace("h_act_0", "h_ip_0"), "the Split is named after the layer behind "
         "which it stands: what it reads was made by act")])
    lines = "data Input: -> x\nact ReLU: x -> x\nagain Sigmoid: x -> x\none Power: x -> a"
    _splits(my, lines, lines)


def unknown_bottom(my: Student) -> None:
    """Fail where a bottom is not refused that no layer before has made."""
    for lines, blob in (("data Input: -> x\nact ReLU: y -> a", "y"),
                        ("data Input: -> x\nact ReLU: a -> b\nlast ReLU: x -> a", "a"),
                        ("data Input: -> x\nact ReLU: y -> y", "y")):
        called = f"insert_splits({' / '.join(lines.splitlines())})"
        layers = layers_of(my, text_of(lines))
        message = refused(lambda layers=layers: my.insert_splits.insert_splits(layers), called, "bottom_notrefused",
                           f"act reads {blob}, which no layer before it has made. What it makes itself, or what comes "
                           "later, is not there yet.")
        expect("act" in message and blob in message, called, f"ValueError: {message}", f"a ValueError with act and "
               f"{blob} in its text", "error_without_names", "say which layer it is, and which bottom")
