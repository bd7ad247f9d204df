"""Caffe's tools under their own names and flags: `python -m minicaffe.cli.caffe_tools caffe train --solver=F`.

The launchers that `minicaffe caffe-root` writes call this. A command of minicaffe does the work of each tool. This
module knows only how the two command lines differ.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial

from minicaffe.cli import __main__ as commands
from minicaffe.cli import glog_flags, progress
from minicaffe.cli.terminal import complain, say
from minicaffe.errors import MinicaffeError, near_names

Args = Sequence[str]

VALUED = ("solver", "model", "snapshot", "weights", "gpu", "phase", "stage")  # Caffe: an empty value is no value
FLAGS = (*VALUED, "level", "iterations", "sigint_effect", "sighup_effect")  # all of `caffe`, with a value each
READ = {  # the flags that an action reads; `caffe` takes all of them for each action
    "train": {"solver", "snapshot", "weights", "gpu", "level", "stage", "sigint_effect", "sighup_effect"},
    "test": {"model", "weights", "gpu", "level", "stage", "iterations"},
    "time": {"model", "phase", "gpu", "level", "stage", "iterations"},
    "device_query": {"gpu"},
}
HINTS = {("train", "iterations"): "max_iter of the solver says how long to train",
         ("train", "model"): "net of the solver names the net",
         ("time", "weights"): "the weights do not change the time"}
USAGE = """usage: caffe ACTION FLAGS

  train           train or finetune a net: --solver, and --snapshot or --weights
  test            score a net: --model, --weights, --iterations
  time            measure a net's layers: --model, --iterations, --phase
  device_query    say what computes

These are the actions and flags of Caffe's tool, carried out by minicaffe. Flags that minicaffe has beyond Caffe's can
be given here too; minicaffe train --help explains them."""


def main(argv: Args | None = None) -> int:
    """Run the tool that the first argument names, and return its exit status: 0, or 1 after an error."""
    return commands.guarded(lambda: _run(list(sys.argv[1:] if argv is None else argv)))


def _run(args: list[str]) -> int:
    if not args or args[0] not in TOOLS:
        raise MinicaffeError(f"the first argument must be the name of a tool of Caffe's, got {args[0]!r}" if args else
                             "the name of a tool of Caffe's is missing",
                             hint=(near_names(args[0], list(TOOLS)) if args else "") or ", ".join(TOOLS))
    progress.only_lines = True  # Caffe's tools draw no bar, and scripts read what they print
    tool, rest = args[0], args[1:]
    with glog_flags.obeying(tool, rest) as others:
        return TOOLS[tool](others)


def _command(*begin: str) -> Callable[[Args], int]:
    """Return a tool that is a command of minicaffe with these first arguments."""
    return lambda args: commands.run_command([*begin, *args])


def _caffe(args: Args) -> int:
    """`caffe ACTION FLAGS`: flags may stand before the action, and those that it does not read are no error."""
    flags, words = _flags(args)
    if not words or words[0] in ("--help", "-help", "-h", "--version", "-version"):
        return commands.run_command(["--version"]) if words and "version" in words[0] else _usage()
    action, *others = words
    if action not in READ:
        raise MinicaffeError(f"caffe has no action {action!r}", hint=near_names(action, list(READ)) or ", ".join(READ))
    given: list[str] = []
    for name, value in flags:
        if name not in READ[action]:
            hint = HINTS.get((action, name), "")
            complain(f"minicaffe: warning: caffe {action} does not read --{name}, so it has no effect"
                     + (f"\n  hint: {hint}" if hint else ""))
        elif value != "" or name not in VALUED:
            given.append(f"--{name}" if value is None else f"--{name}={value}")
    if action == "device_query":
        return _device_query([*given, *others])
    # Caffe: a field that a layer does not read is no error
    return commands.run_command([action, "--permissive", *given, *others])


def _flags(args: Args) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Return the flags of `caffe` with their values, and all other arguments. A value of None is missing."""
    flags: list[tuple[str, str | None]] = []
    words: list[str] = []
    rest = iter(args)
    for arg in rest:
        name, equals, value = arg.lstrip("-").partition("=")
        if arg.startswith("-") and name in FLAGS:
            flags.append((name, value if equals else next(rest, None)))
        else:
            words.append(arg)
    return flags, words


def _usage() -> int:
    say(USAGE)
    return 0


def _device_query(args: Args) -> int:
    """`caffe device_query`: say that there is no GPU, and what computes in its place."""
    parser = commands.Parser(prog="caffe device_query", allow_abbrev=False)
    parser.add_argument("--gpu", metavar="IDS", default="", help="the devices to ask; there are none")
    gpu = parser.parse_args(args).gpu

    from minicaffe import kernels  # not above: it imports numpy, and a mistake in the flags need not wait for that
    from minicaffe.log import At, log
    from minicaffe.records import glog

    with glog.writing():
        log(At.DEVICE_QUERY, f"Querying GPUs {gpu}")
        log(At.DEVICE_QUERY, f"minicaffe uses no GPU: it computes on the CPU, with the engine {kernels.engine()} and "
                             f"{kernels.threads()} threads")
    return 0


def _old_name(tool: str, form: str, more: Args, args: Args) -> int:
    """A tool that Caffe itself has removed: say what replaces it, with the arguments that were given."""
    values = [shlex.quote(arg) for arg in args]
    parts = [part.format(value) for part, value in zip([form, *more], values or ["FILE"], strict=False)]
    raise MinicaffeError(f"Caffe itself has removed the tool {tool}", hint=f"the same is done by: {' '.join(parts)}")


def _gone(tool: str, hint: str, args: Args) -> int:
    """A tool that Caffe itself has removed, whatever the arguments."""
    raise MinicaffeError(f"Caffe itself has removed the tool {tool}", hint=hint)


def _classification(args: Args) -> int:
    from minicaffe.cli import cpp_classification  # not above: it imports numpy

    return cpp_classification.run(args)


def _parse_log(args: Args) -> int:
    from minicaffe.cli import parse_log

    return parse_log.run(args)


def _plot_training_log(args: Args) -> int:
    """`plot_training_log.py CHART PICTURE LOG ...`: the picture has all curves, whatever the chart."""
    if len(args) < 3 or not args[0].isdecimal():
        raise MinicaffeError("plot_training_log.py takes the number of a chart, the picture to write, and logs",
                             hint="plot_training_log.py 0 curves.png train.log")
    return commands.run_command(["plot", *args[2:], "--out", args[1]])


def _train_py(args: Args) -> int:
    """`python/train.py`: `caffe train` with --gpus for many devices."""
    parser = commands.Parser(prog="train.py", allow_abbrev=False)
    parser.add_argument("--solver", required=True, help="the solver")
    parser.add_argument("--snapshot", default="", help="a solver state to go on from")
    parser.add_argument("--gpus", type=int, nargs="+", default=[], help="devices; minicaffe computes on the CPU")
    parser.add_argument("--timing", action="store_true", help="measure the layers; minicaffe time does that")
    given = parser.parse_args(args)
    if given.timing:
        complain("minicaffe: warning: --timing has no effect\n  hint: minicaffe time measures each layer")
    return _caffe(["train", f"--solver={given.solver}", f"--snapshot={given.snapshot}",
                   "--gpu=" + ",".join(map(str, given.gpus))])


TOOLS: dict[str, Callable[[Args], int]] = {
    "caffe": _caffe,
    "compute_image_mean": _command("compute_image_mean"),
    "convert_imageset": _command("convert_imageset", "--skip-bad"),  # Caffe: an image that cannot be read is left out
    "extract_features": _command("extract_features", "--permissive"),
    "upgrade_net_proto_text": _command("upgrade"),
    "upgrade_net_proto_binary": _command("upgrade"),
    "upgrade_solver_proto_text": _command("upgrade"),
    "train_net": partial(_old_name, "train_net", "caffe train --solver={}", ["--snapshot={}"]),
    "finetune_net": partial(_old_name, "finetune_net", "caffe train --solver={}", ["--weights={}"]),
    "test_net": partial(_old_name, "test_net", "caffe test --model={}", ["--weights={}", "--iterations={}"]),
    "net_speed_benchmark": partial(_old_name, "net_speed_benchmark", "caffe time --model={}", ["--iterations={}"]),
    "device_query": partial(_gone, "device_query", "the same is done by: caffe device_query"),
    "dump_network": partial(_gone, "dump_network", "minicaffe weights FILE says what is in a weight file, "
                            "and extract_features writes blobs"),
    "convert_mnist_data": _command("convert_idx"),
    "convert_cifar_data": _command("convert_cifar"),
    "convert_mnist_siamese_data": _command("convert_idx", "--pairs", "--backend=leveldb"),
    "classification": _classification,
    "parse_log.py": _parse_log,
    "plot_training_log.py": _plot_training_log,
    "summarize.py": _command("summary"),
    "train.py": _train_py,
}

if __name__ == "__main__":
    raise SystemExit(main())
