"""The rules of the backward plan, also with one of them broken, for nets that are written in lines."""

from __future__ import annotations

from typing import Any, NamedTuple

Plan = tuple[list[bool], list[list[bool]]]  # runs, propagate_down
FIELDS = {"InnerProduct": "inner_product_param { num_output: 2 }", "Input": "input_param { shape { dim: 3 dim: 2 } }"}
FROZEN = "param { lr_mult: 0 } param { lr_mult: 0 }"


class Broken(NamedTuple):
    """A rule that a student may have missed, by name, and the hint for whoever has."""

    name: str
    hint: str


FIRST = [
    Broken("no_params_asked", "no layer runs: begin with what learns. A layer with a blob that learns runs."),
    Broken("tops_not_noted", "a blob is wanted if it is a top of a layer that runs: note its tops, and not its "
           "bottoms"),
    Broken("all_of_nothing", "all([]) is True in Python: a layer such as data, without bottoms and blobs, would run. "
           "One is enough, and one must be there: any."),
    Broken("flags_as_runs", "that a layer runs does not mean that its bottoms get a diff: the first layer runs for its "
           "weights, and nobody needs the diff of the data. Each bottom has a flag of its own."),
    Broken("runs_for_its_weights_alone", "a layer without anything that learns runs too, if one of its bottoms is "
           "wanted: its dx is needed below"),
    Broken("not_passed_on", "a blob is wanted if it is a top of a layer that runs, whether or not that layer itself "
           "has something that learns"),
    Broken("frozen_counts", "the blobs of this layer have lr_mult 0, so they do not learn: ask learns"),
    Broken("one_frozen_blob_freezes_all", "one of the two blobs learns, so the layer runs"),
    Broken("first_blob_alone", "one of the two blobs learns, so the layer runs: ask all of them"),
    Broken("all_bottoms_asked", "one wanted bottom is enough for a layer to run"),
    Broken("first_bottom_alone", "a layer has several bottoms: ask each of them"),
    Broken("propagate_down_not_read", "the definition has propagate_down: its flags decide, and no other question is "
           "asked for the bottoms"),
    Broken("propagate_down_only_takes_away", "propagate_down: true asks for a diff that nobody else wants. What "
           "is given decides, both ways."),
    Broken("flags_decide_runs", "propagate_down speaks of the bottoms alone. The layer runs if a bottom is wanted, "
           "even if it hands nothing down."),
]
SECOND = [
    Broken("nothing_taken_away", "no loss depends on what this layer makes, so no gradient arrives there"),
    Broken("nothing_under_losses", "a gradient arrives at the bottoms of a loss, and goes on from there to the layers "
           "under it. Go from the last layer to the first, so that you know what arrives at the tops."),
    Broken("both_asked", "one is enough: a λ at one of the tops, or a gradient that comes from above"),
    Broken("flags_kept", "a layer that does not run gives no diffs, so all its flags are False"),
    Broken("type_for_weight", "it is λ in net.loss_weights that makes a loss, and not the type: a loss with λ = 0 has "
           "no gradient, and any layer may have a λ"),
    Broken("first_weight_alone", "a λ may belong to any top"),
    Broken("flags_not_asked", "a gradient arrives only at bottoms that get a diff: ask their flags"),
    Broken("idle_layers_hand_down", "this layer does not run, so nothing arrives at its bottoms"),
    Broken("names_in_place", "in place, top and bottom have one name. That a gradient arrives at the top does not mean "
           "that it arrives at the bottom: take the tops out of the set before you put bottoms in."),
    Broken("tops_taken_out_too_late", "in place, the top has the name of the bottom: where you take out the tops last, "
           "the bottom that has just been put in is gone"),
    Broken("all_tops_asked", "a gradient at one top is enough"),
    Broken("first_sweep_forgotten", "a gradient arrives, but the first sweep says that nothing below learns: both must "
           "say yes"),
]


def text_of(lines: str) -> str:
    """Return the definition of a net in lines such as `act ReLU: h -> h | propagate_down: false`."""
    made = []
    for line in lines.strip().split("\n"):
        wires, _, more = line.partition("|")
        head, blobs = wires.split(":")
        name, type_name = head.split()
        bottoms, tops = (part.split() for part in blobs.split("->"))
        fields = [f'name: "{name}" type: "{type_name}"', *(f'bottom: "{b}"' for b in bottoms),
                  *(f'top: "{t}"' for t in tops), FIELDS.get(type_name, ""), more.strip().replace("frozen", FROZEN)]
        made.append(f"layer {{ {' '.join(field for field in fields if field)} }}")
    return "\n".join(made)


def learning(definition: Any) -> list[bool]:
    """Return whether each blob of a layer learns."""
    count = 2 if definition["type"] == ["InnerProduct"] else 0
    rates = [message.get("lr_mult", [1])[0] for message in definition.get("param", [])]
    return [rate != 0 for rate in [*rates, 1, 1][:count]]


def first_sweep(net: Any, broken: str = "") -> Plan:
    """Return what depends on something that learns."""
    wanted, runs, flags = set[str](), list[bool](), list[list[bool]]()
    for definition in net.definitions:
        own, behind = learning(definition), [name in wanted for name in definition.get("bottom", [])]
        given = definition.get("propagate_down")
        if broken == "frozen_counts":
            own = [True for _ in own]
        has_own = any(own[:1] if broken == "first_blob_alone" else own)
        if broken == "one_frozen_blob_freezes_all":
            has_own = bool(own) and all(own)
        below = any(behind[:1] if broken == "first_bottom_alone" else behind)
        if broken in ("all_bottoms_asked", "all_of_nothing"):
            below = all(behind) and (bool(behind) or broken == "all_of_nothing")
        if broken == "flags_decide_runs" and given:
            below = any(given)
        runs.append((has_own and broken != "no_params_asked") or (below and broken != "runs_for_its_weights_alone"))
        flags.append([runs[-1]] * len(behind) if broken == "flags_as_runs" else behind)
        if given and broken == "propagate_down_only_takes_away":
            flags[-1] = [a and b for a, b in zip(given, behind, strict=True)]
        elif given and broken != "propagate_down_not_read":
            flags[-1] = list(given)
        if (has_own if broken == "not_passed_on" else runs[-1]) and broken != "tops_not_noted":
            wanted.update(definition.get("top", []))
    return runs, flags


def second_sweep(net: Any, broken: str = "") -> Plan:
    """Return the plan of the first sweep without what no gradient reaches."""
    runs, flags = first_sweep(net)
    if broken == "nothing_taken_away":
        return runs, flags
    arrives = set[str]()
    for i in reversed(range(len(runs))):
        definition, weights = net.definitions[i], net.loss_weights[i]
        tops, bottoms = definition.get("top", []), definition.get("bottom", [])
        if broken == "type_for_weight":
            weights = [definition["type"][0].endswith("Loss")]
        at_tops = [name in arrives for name in tops]
        below_loss = bool(tops) and all(at_tops) if broken == "all_tops_asked" else any(at_tops)
        reached = any(weights[:1] if broken == "first_weight_alone" else weights) or (
            below_loss and broken != "nothing_under_losses")
        if broken == "both_asked":
            reached = any(weights) and below_loss
        if broken not in ("names_in_place", "tops_taken_out_too_late"):
            arrives -= set(tops)
        runs[i] = reached and (runs[i] or broken == "first_sweep_forgotten")
        if broken == "idle_layers_hand_down":
            arrives |= {name for name, flag in zip(bottoms, flags[i], strict=True) if flag}
        if not runs[i] and broken != "flags_kept":
            flags[i] = [False] * len(bottoms)
        if runs[i]:
            arrives |= {name for name, flag in zip(bottoms, flags[i], strict=True)
                        if flag or broken == "flags_not_asked"}
        if broken == "tops_taken_out_too_late":
            arrives -= set(tops)
    return runs, flags
