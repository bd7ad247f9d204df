"""Keep the layers whose include and exclude rules fit the net's state (phase, level, stage)."""

from __future__ import annotations

from typing import Any

from minicaffe.errors import NetError, near_names
from minicaffe.log import At, log, warn
from minicaffe.proto import RUN, NetParameter


def filter_layers(net: Any) -> Any:
    """Return the net with only the layers that its `state` includes.

    A layer with include rules stays where one of them is met. A layer with exclude rules stays where none of them is
    met. A layer with no rules stays. Raise NetError for a layer that has rules of both kinds.
    """
    kept = NetParameter()
    kept.CopyFrom(net)
    del kept.layer[:]
    kept.layer.extend(layer for layer in net.layer if is_included(layer, net.state))
    return kept


def is_included(layer: Any, state: Any) -> bool:
    """Return whether a layer belongs to a net in this NetState."""
    if layer.include and layer.exclude:
        raise NetError(f"layer {layer.name!r} ({layer.type}) has both include and exclude rules",
                       hint="write all its rules as include, or all as exclude")
    if layer.include:
        return any(meets(state, rule, layer.name) for rule in layer.include)
    return not any(meets(state, rule, layer.name) for rule in layer.exclude)


def meets(state: Any, rule: Any, layer_name: str) -> bool:
    """Return whether a NetState meets a NetStateRule: every condition that the rule sets must hold."""
    in_layer = f"specified by a rule in layer {layer_name}"
    if rule.HasField("phase") and rule.phase != state.phase:
        log(At.OTHER_PHASE, f"The NetState phase ({state.phase}) differed from the phase ({rule.phase}) {in_layer}")
        return False
    if rule.HasField("min_level") and rule.HasField("max_level") and rule.min_level > rule.max_level:
        raise NetError(f"layer {layer_name!r}: a rule with min_level {rule.min_level} above max_level "
                       f"{rule.max_level} never holds")
    if rule.HasField("min_level") and state.level < rule.min_level:
        log(At.BELOW_MIN_LEVEL, f"The NetState level ({state.level}) is below the min_level ({rule.min_level}) "
                                f"{in_layer}")
        return False
    if rule.HasField("max_level") and state.level > rule.max_level:
        log(At.ABOVE_MAX_LEVEL, f"The NetState level ({state.level}) is above the max_level ({rule.max_level}) "
                                f"{in_layer}")
        return False
    for stage in rule.stage:
        if stage in rule.not_stage:
            raise NetError(f"layer {layer_name!r}: a rule with the stage {stage!r} and the same not_stage never holds")
        if stage not in state.stage:
            log(At.STAGE_MISSING, f"The NetState did not contain stage '{stage}' {in_layer}")
            return False
    for stage in rule.not_stage:
        if stage in state.stage:
            log(At.NOT_STAGE, f"The NetState contained a not_stage '{stage}' {in_layer}")
            return False
    return True


def warn_of_state(net: Any) -> None:
    """Warn of a stage or a level in a net's state that no rule of its layers mentions: it may be misspelt.

    Raise NetError for the phase RUN of forks: layers compute as in TRAIN or as in TEST.
    """
    if net.state.phase == RUN:
        raise NetError(f"net {net.name!r}: state.phase is RUN, but a net is in TRAIN or in TEST",
                       hint="RUN is a phase of forks. TEST is the phase of a net in use")
    rules = [rule for layer in (*net.layer, *net.layers) for rule in (*layer.include, *layer.exclude)]
    known = sorted({stage for rule in rules for stage in (*rule.stage, *rule.not_stage)})
    for stage in net.state.stage:
        if stage and stage not in known:  # Caffe: a train without --stage has the stage ''
            hint = near_names(stage, known)
            warn(At.NET_STATE, f"net {net.name!r}: stage {stage!r} has no effect: no layer's rule names it"
                               + (f" ({hint})" if hint else ""))
    if net.state.level and not any(rule.HasField("min_level") or rule.HasField("max_level") for rule in rules):
        warn(At.NET_STATE, f"net {net.name!r}: level {net.state.level} has no effect: no layer's rule has a "
                           "min_level or max_level")
