"""The checks of step 12: what learns, both sweeps, and a net that runs backward what is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minicaffe.course.checking import UNKNOWN, Draw, Mistake, Wrong, compare, expect
from minicaffe.course.layer_checks import GARBAGE
from minicaffe.course.steps.s11_wiring.case import Case
from minicaffe.course.steps.s12_backward_plan.nets import FIRST_NETS, SECOND_NETS
from minicaffe.course.steps.s12_backward_plan.rules import (
    FIRST,
    SECOND,
    Broken,
    Plan,
    first_sweep,
    second_sweep,
    text_of,
)
from minicaffe.course.student import Student
from minicaffe.net import Net
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text

TYPES = ["InnerProduct", "InnerProduct", "Sigmoid", "ReLU", "Power", "Eltwise"]  # of random nets


# --- what learns --------------------------------------------------------------------------------------------------


def check_learns(my: Student, draw: Draw) -> None:
    """A blob learns unless the message of its number has an lr_mult of 0."""
    for text, count, right, name, hint in (
            ("param { lr_mult: 1 } param { lr_mult: 2 }", 2, [True, True], "right_rates_refused", "neither is 0"),
            ("param { lr_mult: 0 } param { lr_mult: 0 }", 2, [False, False], "frozen_blobs_learn", "both lr_mult are "
             "0"),
            ("param { lr_mult: 0 } param { lr_mult: 1 }", 2, [False, True], "one_for_all_blobs", "message 0 is for "
             "blob 0, and message 1 for blob 1"),
            ("param { lr_mult: 0.5 }", 1, [True], "rate_below_one", "0.5 is not 0: only 0 means that a blob does not "
             "learn"),
            ("", 2, [True, True], "no_message_means_frozen", "a blob without a message has lr_mult 1"),
            ("param { lr_mult: 0 }", 2, [False, True], "message_for_all_blobs", "the one message is for blob 0, and "
             "blob 1 has lr_mult 1"),
            ("param { decay_mult: 0 } param { }", 2, [True, True], "no_rate_means_frozen", "a message without lr_mult "
             "leaves it at 1"),
            ("", 0, [], "blobs_of_messages", "there is a bool for each blob, and this layer has none"),
            ("param { lr_mult: 1 } param { lr_mult: 0 }", 1, [True], "blobs_of_messages", "there is a bool for each "
             "blob, and this layer has one: InnerProduct without bias, for instance")):
        definition = my.prototxt.parse(f"layer {{ {text} }}")["layer"][0]
        called = f"learns(a definition with {text or 'no param'}, {count})"
        got = my.backward_plan.learns(definition, count)
        expect(isinstance(got, list | tuple), called, repr(got), right, "no_list", "the result is a list of bools, one "
               "for each blob")
        expect(list(map(bool, got)) == right, called, got, right, name, hint)


# --- the sweeps ---------------------------------------------------------------------------------------------------


def _net(my: Student, lines: str) -> tuple[Any, str]:
    """Return the student's net of these lines, and the lines in one, for what is printed."""
    lines = "\n".join(line.strip() for line in lines.strip().split("\n"))
    return my.net.Net(my.prototxt.parse(text_of(lines))), " / ".join(lines.split("\n"))


def _plain(plan: Any) -> Plan | None:
    """Return a plan of the student's as lists of bools, None where it is none."""
    try:
        runs, flags = plan
        return [bool(run) for run in runs], [[bool(flag) for flag in one] for one in flags]
    except (TypeError, ValueError):
        return None


def _match(called: str, net: Any, got: Any, right: Plan, fitting: Callable[[Plan], Sequence[Broken]]) -> None:
    """Fail where a plan of the student's is another one; `fitting` gives the rules whose breach makes this plan."""
    found = _plain(got)
    if found is None:
        raise Wrong(called, repr(got), "(runs, propagate_down)", "no_pair", "two lists are returned: for each layer "
                    "whether it runs, and for each layer the list of its flags")
    if found == right:
        return
    count, bottoms = len(net.names), [len(one) for one in net.bottoms]
    expect(len(found[0]) == len(found[1]) == count, f"{called} → the lengths of both lists",
           f"{len(found[0])} and {len(found[1])}", f"{count} each", "a_place_for_each_layer", "each layer of the net "
           "has its place in both lists, the Splits too")
    lengths = [len(one) for one in found[1]]
    expect(lengths == bottoms, f"{called} → the numbers of flags", lengths, bottoms, "a_flag_for_each_bottom",
           "each layer has a flag for each of its bottoms")
    i = next(i for i in range(count) if (found[0][i], found[1][i]) != (right[0][i], right[1][i]))
    words, expected = (f"runs {plan[0][i]}, propagate_down {plan[1][i]}" for plan in (found, right))
    name, hint = next(iter(fitting(found)), Broken(UNKNOWN, "none of the mistakes that this check knows gives this "
                      "plan. Go through the rules of the page for this layer, one after the other."))
    raise Wrong(f"{called} → layer {net.names[i]}", words, expected, name, hint)


def _sweep(my: Student, called: str, theirs: Callable[[Any], Any], ours: Callable[..., Plan], rules: Sequence[Broken],
           nets: Mapping[str, Sequence[str]], what: str) -> None:
    """Fail where a sweep of the student's is not right for one of the nets of this kind.

    Several rules may explain the plan of this net. The one is told that explains most of the plans of all nets.
    """
    def misses(rule: Broken) -> int:
        return sum(_plain(theirs(net)) != ours(net, rule.name)
                   for several in nets.values() for net, _ in (_net(my, one) for one in several))

    for lines in nets[what]:
        net, said = _net(my, lines)
        fit = [(rule, ours(net, rule.name)) for rule in rules]
        _match(f"{called} of the net {said}", net, theirs(net), ours(net),
               lambda found, fit=fit: sorted((rule for rule, plan in fit if plan == found), key=misses))  # type: ignore[misc]


def _first(my: Student, what: str) -> None:
    _sweep(my, "from_params(net)", my.backward_plan.from_params, first_sweep, FIRST, FIRST_NETS, what)


def _second(my: Student, what: str) -> None:
    changed = list[Plan]()

    def theirs(net: Any) -> Any:
        given = first_sweep(net)
        made = my.backward_plan.only_under_loss(net, *given)
        if given != first_sweep(net):
            changed.append(given)
        return made

    called = "only_under_loss(net, runs, propagate_down)"
    _sweep(my, called, theirs, second_sweep, SECOND, SECOND_NETS, what)
    expect(not changed, f"{called} → runs and propagate_down that were given", "have changed", "as they were",
           "given_lists_changed", "return new lists: list(flags) copies one, but not the lists within it")


def check_first_sweep(my: Student, draw: Draw) -> None:
    """From the first layer on: what depends on something that learns runs, and asks for the diffs on the way."""
    _first(my, "plain")


def check_first_sweep_with_frozen_layers(my: Student, draw: Draw) -> None:
    """Frozen layers run only where something below them learns."""
    _first(my, "frozen_layers")


def check_first_sweep_with_several_bottoms(my: Student, draw: Draw) -> None:
    """One wanted bottom is enough for a layer to run, and each bottom has its own flag."""
    _first(my, "several_bottoms")


def check_first_sweep_with_propagate_down(my: Student, draw: Draw) -> None:
    """The flags of a definition decide which bottoms get a diff."""
    _first(my, "propagate_down")


def check_second_sweep(my: Student, draw: Draw) -> None:
    """From the last layer on: what no gradient reaches is taken away."""
    _second(my, "plain")


def check_second_sweep_with_loss_weights(my: Student, draw: Draw) -> None:
    """A gradient begins at tops whose λ is not 0, whatever the type of the layer."""
    _second(my, "loss_weights")


def check_second_sweep_with_propagate_down(my: Student, draw: Draw) -> None:
    """Where a layer hands nothing down, no gradient arrives below it."""
    _second(my, "propagate_down")


def check_second_sweep_in_place(my: Student, draw: Draw) -> None:
    """In place, a gradient at the top has not yet arrived at the bottom."""
    _second(my, "in_place")


def check_plan_as_minicaffe_makes_it(my: Student, draw: Draw) -> None:
    """For random nets, the plan is the one that minicaffe makes."""
    for _ in range(5):
        lines = _random_net(draw.rng)
        net, said = _net(my, lines)
        theirs = Net(proto_text.parse(text_of(lines), NetParameter()))
        runs = [bool(run) for run in theirs.plan.layers]
        right = runs, [[bool(flag and run) for flag in flags]
                       for run, flags in zip(runs, theirs.plan.bottoms, strict=True)]
        first = first_sweep(net)
        _match(f"plan(net) of the net {said}", net, my.backward_plan.plan(net), right, lambda found, first=first: [
            Broken("second_sweep_not_run", "that is what the first sweep gives: run the second one, too")]
            if found == first else [])  # type: ignore[misc]


def _random_net(rng: np.random.Generator) -> str:
    """Return a net in lines: some layers, each of which reads blobs that are there, and a loss or two."""
    lines, blobs = ["data Input: -> x t"], ["x"]
    read: dict[str, int] = {}
    for i in range(int(rng.integers(4, 9))):
        kind = str(rng.choice(TYPES))
        bottoms = [str(rng.choice(blobs[-3:])) for _ in range(2 if kind == "Eltwise" else 1)]
        top = f"b{i}"
        if kind == "ReLU" and bottoms[0] != "x" and not read.get(bottoms[0]):
            top = bottoms[0]
        more = "frozen" if kind == "InnerProduct" and rng.random() < 0.4 else ""
        if rng.random() < 0.15:
            more += " propagate_down: " + str(rng.choice(["true", "false"])) if kind != "Eltwise" else ""
        if kind == "Power" and rng.random() < 0.2:
            more += " loss_weight: 0.5"
        lines.append(f"layer{i} {kind}: {' '.join(bottoms)} -> {top}" + (f" | {more.strip()}" if more else ""))
        if top != bottoms[0]:
            for name in bottoms:
                read[name] = read.get(name, 0) + 1
            if "loss_weight" not in more:  # a loss that is read gets a Split of its own, which is not part of this step
                blobs.append(top)
    for i in range(int(rng.integers(1, 3))):
        more = " | loss_weight: 0" if rng.random() < 0.25 else ""
        lines.append(f"loss{i} SigmoidCrossEntropyLoss: {rng.choice(blobs[-2:])} t -> L{i}{more}")
    return "\n".join(lines)


# --- the net ------------------------------------------------------------------------------------------------------


def _cases(my: Student, draw: Draw) -> Case:
    """Return the net of step 11 as a PlannedNet, in which w of the layer a is frozen."""
    case = Case(my, draw, of_a="param { lr_mult: 0 }")
    case.net = my.backward_plan.PlannedNet(my.prototxt.parse(case.text))
    case.fill()
    return case


def check_planned_net(my: Student, draw: Draw) -> None:
    """PlannedNet runs backward the layers of the plan, with its flags, and no others."""
    case = _cases(my, draw)
    net = case.net
    right = second_sweep(net)
    expect(len(net.runs) == len(net.names), "PlannedNet(…).runs", net.runs, f"{len(net.names)} bools", "plan_not_kept",
           "the plan is kept in self.runs and self.propagate_down, from which backward of Net reads it")
    expect(list(net.runs) != [True] * len(net.runs), "PlannedNet(…).runs", net.runs, right[0], "plan_not_kept", "these "
           "are the values that Net sets. Let Net do its work first, by super().__init__(definition), and then put the "
           "plan in their place.")
    got = net.runs, net.propagate_down
    _match("PlannedNet(…): (net.runs, net.propagate_down)", net, got, right, lambda found: [])
    ran: list[str] = []
    for name, layer in zip(net.names, net.layers, strict=True):
        layer.backward = _noting(ran, name, layer.backward)
    net.forward()
    net.backward()
    names = [name for name, runs in zip(net.names, right[0], strict=True) if runs][::-1]
    expect(ran == names, "PlannedNet(…).backward() → the layers that ran", ran, names, "plan_not_obeyed", "backward of "
           "Net reads self.runs, so it needs no other one here")


def _noting(ran: list[str], name: str, backward: Callable[..., Any]) -> Callable[..., None]:
    def noting(*arguments: Any) -> None:
        ran.append(name)
        backward(*arguments)

    return noting


def check_gradients_stay(my: Student, draw: Draw) -> None:
    """The gradients of what learns are those of a net that runs everything."""
    case = _cases(my, draw)
    plain = my.net.Net(my.prototxt.parse(case.text))
    for name in ("x", "t"):
        plain.blobs[name].data[...] = case.net.blobs[name].data
    for net in (plain, case.net):
        for blob, values in zip(net.params, case.weights, strict=True):
            blob.data[...] = values
        for blob in net.blobs.values():
            blob.diff[...] = GARBAGE
        net.forward()
        net.backward()
    for i, (blob, theirs) in enumerate(zip(case.net.params, plain.params, strict=True)):
        if i != 2:
            compare(f"PlannedNet(…).backward() → params[{i}].diff", blob.diff, theirs.diff, [
                Mistake("layer_left_out", np.zeros_like(theirs.diff), "nothing has been added: this layer or one above "
                        "it did not run")])


def check_learned(my: Student, draw: Draw) -> None:
    """The list learned has the blobs that learn, in the order of the layers."""
    net = _cases(my, draw).net
    w, b, _, ba, wb = net.params
    names = {id(blob): name for blob, name in zip(net.params, ("ip's w", "ip's b", "a's w", "a's b", "b's w"),
                                                  strict=True)}
    got = [names.get(id(blob), repr(blob)) for blob in net.learned]
    right = [names[id(blob)] for blob in (w, b, ba, wb)]
    called = "PlannedNet(…).learned, with lr_mult: 0 for the first blob of the layer a"
    expect(got != [*names.values()], called, got, right, "all_params", "a's w has lr_mult 0: a solver that gets it "
           "would still move it, by weight decay and momentum")
    expect(got != ["ip's w", "ip's b", "b's w"], called, got, right, "whole_layer_frozen", "only the first blob of a "
           "is frozen: its bias learns. Ask learns for each blob.")
    expect(got != ["a's w"], called, got, right, "frozen_for_learned", "these are the blobs that do not learn")
    expect(got == right, called, got, right, "other_blobs", "for each layer in order, those of its blobs that learn")
