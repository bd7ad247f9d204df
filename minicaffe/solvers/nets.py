"""The nets of a solver: which nets its definition names, and how they are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from minicaffe.errors import ProtoError, SolverError
from minicaffe.io import prototxt
from minicaffe.log import At, log
from minicaffe.net import Net
from minicaffe.proto import TEST, TRAIN, NetParameter, NetState
from minicaffe.solvers.fields import place, require
from minicaffe.solvers.registry import DType, NetClass

# the fields that may name the train net, and the place in Caffe where the log says so
TRAIN_FIELDS = {"net": At.NET_FILE, "net_param": At.NET_PARAM, "train_net": At.TRAIN_NET_FILE,
                "train_net_param": At.TRAIN_NET_PARAM}


class NetChoice(NamedTuple):
    """A net that a solver names: a path or a NetParameter, the state to make it in, and the words for its origin."""

    definition: Any
    state: Any
    source: str
    at: str = At.TEST_NET  # the place in Caffe where the log says that it is made


class Maker:
    """Makes the nets of a solver, all of one class and number type.

    `strict` demands that the files of the solver's `weights` field fit the train net exactly.
    """

    def __init__(self, net_class: NetClass, dtype: DType, strict: bool) -> None:
        self.net_class, self.dtype, self.strict = net_class, dtype, strict

    def train_net(self, param: Any, where: str) -> Net:
        """Return the net to train, with the weights that `weights` names."""
        choice = net_to_train(param, where)
        log(choice.at, f"Creating training net {choice.source}")
        return self._make(choice, param)

    def test_nets(self, param: Any, where: str) -> list[Net]:
        """Return the nets to test with, in Caffe's order."""
        nets = []
        for i, choice in enumerate(nets_to_test(param, where)):
            log(choice.at, f"Creating test net (#{i}) specified by {choice.source}")
            nets.append(self._make(choice, param))
            nets[i].set_debug_info(param.debug_info)
        return nets

    def _make(self, choice: NetChoice, param: Any) -> Net:
        net = self.net_class(choice.definition, phase=choice.state.phase, level=choice.state.level,
                             stages=list(choice.state.stage), dtype=self.dtype)
        self._load_weights(net, param)
        return net

    def _load_weights(self, net: Net, param: Any) -> None:
        """Copy the weights named by the `weights` fields; each may list several files with commas."""
        paths = [name.strip() for names in param.weights for name in names.split(",")]
        if paths:
            for path in paths:
                log(At.FINETUNING, f"Finetuning from {path}")
            # a test net may lack layers, and it takes over the train net's weights before each test
            net.copy_trained_from(paths, strict=self.strict and net.phase == TRAIN).log()


def net_to_train(param: Any, where: str = "") -> NetChoice:
    """Return the net to train. Raise SolverError unless exactly one is named."""
    given = [name for name in TRAIN_FIELDS if param.HasField(name)]
    if len(given) != 1:
        raise SolverError(f"a solver names its train net in exactly one of {', '.join(TRAIN_FIELDS)}; "
                          + (f"here are {' and '.join(given)}" if given else "here is none"), where=where)
    field, value = given[0], getattr(param, given[0])
    require(value != "", param, field, "must name a file", where)
    source = f"from {field} file: {value}" if isinstance(value, str) else f"specified in {field}."
    return NetChoice(value, _state(value, TRAIN, param.train_state, where), source, TRAIN_FIELDS[field])


def nets_to_test(param: Any, where: str = "") -> list[NetChoice]:
    """Return the nets to test with, in Caffe's order: test_net_param, test_net, then the train net as often as is left.

    There is one for each test_iter. Raise SolverError where the numbers of nets, test_iter and test_state do not fit.
    """
    nets: list[tuple[Any, str]] = [(net, "test_net_param") for net in param.test_net_param]
    nets += [(path, f"test_net file: {path}") for path in param.test_net]
    shared = _shared_net(param)
    wanted = _tests_wanted(param, len(nets), bool(shared), where)
    nets += shared * (wanted - len(nets))
    states = list(param.test_state) or [NetState()] * wanted
    return [NetChoice(net, _state(net, TEST, state, where), source)
            for (net, source), state in zip(nets, states, strict=True)]


def _shared_net(param: Any) -> list[tuple[Any, str]]:
    """The net that serves for training and for tests, with the words for its origin; an empty list without one."""
    if param.HasField("net"):
        return [(param.net, f"net file: {param.net}")]
    return [(param.net_param, "net_param")] if param.HasField("net_param") else []


def _tests_wanted(param: Any, named: int, shared: bool, where: str) -> int:
    """Return the number of test nets to make.

    `named` is the number of nets that are given for tests alone; `shared` says whether the train net may be used, too.
    """
    wanted = len(param.test_iter)
    if param.test_iter_auto:
        if wanted:
            raise SolverError("test_iter and test_iter_auto are both set", where=place(param, "test_iter", where),
                              hint="give one of them")
        # no test_iter says how many nets there are, so the other fields do
        wanted = len(param.test_state) or named or (1 if shared else 0)
    if wanted < named or (wanted > named and not shared):
        raise SolverError(f"test_iter is given {wanted} times for {named} test nets",
                          where=place(param, "test_iter", where),
                          hint="give one test_iter for each test_net and test_net_param")
    if param.test_state and len(param.test_state) != wanted:
        raise SolverError(f"test_state is given {len(param.test_state)} times for {wanted} test nets",
                          where=where, hint="leave it out, or give it once for each test net")
    require(not wanted or param.test_interval > 0, param, "test_interval",
            "must be at least 1 where test_iter or test_iter_auto asks for tests", where)
    require("" not in param.test_net, param, "test_net", "must name files", where)
    return wanted


def _state(definition: Any, phase: int, state: Any, where: str) -> Any:
    """The state to make a net in: `phase`, then the net's own state, then the solver's `state`; the later one wins."""
    merged = NetState(phase=phase)
    merged.MergeFrom((_read(definition, where) if isinstance(definition, str) else definition).state)
    merged.MergeFrom(state)
    return merged


def _read(path: str, where: str) -> Any:
    try:
        # Only the net's state matters here: what the schema does not know is refused when the net is made.
        return prototxt.read(path, NetParameter(), leave_out=lambda layer, net: True)
    except ProtoError as error:
        error.where = error.where or where
        if where and not Path(path).exists() and (Path(where).parent / path).exists():
            error.hint = f"paths in a solver start from the folder you are in; {path} stands in {Path(where).parent}"
        raise
