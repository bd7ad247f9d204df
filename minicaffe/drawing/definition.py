"""Draw a NetParameter as it is written, without running a layer, reading data or running the code of a Python layer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from minicaffe import passes
from minicaffe.analysis.resize import resize
from minicaffe.drawing.drawing import Drawing, draw_versions
from minicaffe.drawing.graph import Version, version_of_definition
from minicaffe.errors import MinicaffeError
from minicaffe.log import At, one_line, silent, warn
from minicaffe.net import Net
from minicaffe.passes.filter import is_included
from minicaffe.proto import LayerParameter, NetStateRule, Phase

PHASES = ("TRAIN", "TEST")


def draw_definition(net: Any, *, phase: int | None = None, fold: bool | None = False, width: float = 0,
                    lr_mult: Collection[str] = ()) -> Drawing:
    """Return the drawing of a NetParameter of any age. It is not changed.

    A net that cannot be made is drawn without shapes. A bottom that no layer makes is drawn as an Input. Layers that
    belong to a stage or a level which net.state does not have are left out, and a warning names them.

    phase             TRAIN or TEST; None draws the nets of both as one
    fold and width    as in `draw`
    lr_mult           as in `draw_versions`
    """
    with silent():  # what is wrong with the net matters when it is made to run
        definition = passes.upgrade(net)
        labels = differing_phases(definition, definition.state) if phase is None else [Phase.Name(phase)]
        states = [state_of(definition.state, label) for label in labels]
        left_out = [layer.name for layer in definition.layer
                    if phase is None and not any(is_included(layer, state) for state in states)]
        _add_inputs(definition, labels)
        versions = [_version(definition, label) for label in labels]
    if left_out:
        warn(At.OTHER_PHASE, f"not drawn, because their stage or level is not in the net's state: "
                             f"{', '.join(map(one_line, left_out))}; net.state.stage.append(...) chooses a stage")
    return draw_versions(net.name, versions, fold=fold, width=width, lr_mult=lr_mult)


def differing_phases(definition: Any, state: Any) -> list[str]:
    """Return both phases where an upgraded NetParameter has different layers in them, else the first."""
    with silent():
        included = [[is_included(layer, state_of(state, phase)) for layer in definition.layer] for phase in PHASES]
    return list(PHASES) if included[0] != included[1] else [PHASES[0]]


def state_of(state: Any, phase: str) -> Any:
    """Return a NetState in another phase."""
    changed = type(state)()
    changed.CopyFrom(state)
    changed.phase = Phase.Value(phase)
    return changed


def _add_inputs(definition: Any, labels: list[str]) -> None:
    """Put an Input layer in front for each bottom that no layer before makes: a part of a net can be drawn, too."""
    missing: dict[str, list[str]] = {}
    for label in labels:
        state, made = state_of(definition.state, label), set[str]()
        for layer in definition.layer:
            if is_included(layer, state):
                for bottom in set(layer.bottom) - made:
                    missing.setdefault(bottom, []).append(label)
                made |= {*layer.bottom, *layer.top}
    for bottom, where in missing.items():
        rules = [NetStateRule(phase=Phase.Value(label)) for label in where]
        definition.layer.insert(0, LayerParameter(name=bottom, type="Input", top=[bottom], include=rules))


def _version(definition: Any, label: str) -> Version:
    """Return the net of a phase, with shapes where it can be made."""
    chosen = type(definition)()
    chosen.CopyFrom(definition)
    chosen.state.CopyFrom(state_of(definition.state, label))
    sized = type(definition)()
    sized.CopyFrom(chosen)
    try:
        resize(sized, 0, "")
        net = Net(sized, None, permissive=True, allow_python=False, shapes_only=True)
        return version_of_definition(label, definition, net.param, net)
    except MinicaffeError:
        return version_of_definition(label, definition, passes.apply(chosen), None)
