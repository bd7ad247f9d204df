"""Build a small framework of your own, in twenty steps from a blob to a net that loads a caffemodel.

  minicaffe course                   the steps, and which of them are passed in this folder
  minicaffe course start 1           write the files of step 1 into this folder, with functions to fill in
  minicaffe course show 1            the page of step 1: what to build, the formulas, an example
  minicaffe course check 1           grade step 1
  minicaffe course hint 1            one hint more, each time it is asked; there are three
  minicaffe course bug               the bug hunts: nets, solvers and layers with one fault each
  minicaffe course bug 1             write the files of hunt 1 into bug_1/, and print its page
  minicaffe course bug 1 --answer bug_1/layers.py:41
                                     say in which file and line the fault is

Without a number, start, show, check and hint take the first step that is not passed. Your files are my_caffe/*.py in
the current folder, or in the one that --folder names. No file of yours is ever written over.

`check` runs your code in a process of its own, with a time limit. It prints what passed, and for the first check that
failed: what was called, what came out, what was expected, and a hint that fits the mistake. The exit status is 0 where
the step is passed, and 1 where it is not.

`bug` needs no step to be passed. You find the fault with `minicaffe check`, `minicaffe trace` or `minicaffe train`; the
page of the hunt says which. The exit status is 0 where an answer is right, and 1 where it is not.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from minicaffe.cli.course_bug import WIDTH, bug
from minicaffe.cli.flags import filled, natural
from minicaffe.cli.terminal import say
from minicaffe.course.folder import Folder
from minicaffe.course.outcome import Outcome
from minicaffe.course.step import Step, step, steps
from minicaffe.errors import MinicaffeError
from minicaffe.layout import entry, prose, terminal_width, wrap
from minicaffe.log import plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", metavar="ACTION", nargs="?", choices=sorted([*ACTIONS, BUG]),
                        help=f"{', '.join([*ACTIONS, BUG])}; without it, the list of the steps")
    parser.add_argument("step", metavar="N", nargs="?", type=natural,
                        help="the number of a step (default: the first that is not passed) or of a bug")
    parser.add_argument("--answer", metavar="PLACE", type=filled,
                        help="for bug: where the fault is, as FILE:LINE")
    parser.add_argument("--folder", metavar="DIR", type=filled, default=".",
                        help="where your files are (default: the current folder)")
    parser.add_argument("--seed", metavar="N", type=natural, default=1,
                        help="of the sizes and numbers that the checks use (default: 1)")
    parser.add_argument("--json", action="store_true",
                        help="print what came of `check`, or of an answer, as one line of JSON, for a classroom")


def run(args: argparse.Namespace) -> int:
    if args.answer is not None and args.action != BUG:
        raise MinicaffeError("--answer is for `minicaffe course bug N`")
    if args.json and args.action != "check" and args.answer is None:
        raise MinicaffeError("--json is for `minicaffe course check`, and for `minicaffe course bug N --answer PLACE`")
    folder = Folder(Path(args.folder))
    if args.action == BUG:
        return bug(args, folder)
    if args.action is None:
        _list(folder)
        return 0
    chosen = folder.next_step() if args.step is None else step(args.step)
    return ACTIONS[args.action](args, folder, chosen)


def _list(folder: Folder) -> None:
    """Print all steps, and which of them are passed."""
    width = terminal_width(WIDTH)
    for one in steps().values():
        state = "passed" if one.number in folder.passed else ""
        say("\n".join(entry(f"{one.number:2}  {state}", one.title, 16, width)))
    passed = len(folder.passed & set(steps()))
    say(f"\n{passed} of {plural(len(steps()), 'step')} passed in {folder.path.resolve()}.")
    if passed < len(steps()):
        number = folder.next_step().number
        say("\n".join(wrap(f"Go on with `minicaffe course start {number}`, then `minicaffe course show {number}`.",
                           width)))


def _start(args: argparse.Namespace, folder: Folder, chosen: Step) -> int:
    """Write the files of a step, and say what to do."""
    width = terminal_width(WIDTH)
    before = [n for n in steps() if n < chosen.number and n not in folder.passed]
    say(f"Step {chosen.number}: {chosen.title}")
    for name, what in folder.write(chosen):
        say("\n".join(entry(name, what, 32, width)))
    if before:
        say("\n".join(wrap(f"It uses the files of the steps before, of which {plural(len(before), 'step')} "
                           f"{'is' if len(before) == 1 else 'are'} not passed here; the first is step {before[0]}.",
                           width)))
    number = chosen.number
    say("\n".join(wrap(f"Read `minicaffe course show {number}`, write what is missing in these files, and grade it "
                       f"with `minicaffe course check {number}`. If you are stuck: `minicaffe course hint {number}`.",
                       width)))
    return 0


def _show(args: argparse.Namespace, folder: Folder, chosen: Step) -> int:
    """Print the page of a step."""
    say(f"Step {chosen.number}: " + prose(chosen.page.removeprefix("# ").rstrip("\n"), terminal_width(WIDTH)))
    return 0


def _hint(args: argparse.Namespace, folder: Folder, chosen: Step) -> int:
    """Print one hint more than the last time; the last one again, and what else there is, where there is no other."""
    hints = chosen.hints
    count = folder.hints[chosen.number] = min(folder.hints.get(chosen.number, 0) + 1, len(hints))
    folder.remember()
    say(f"Step {chosen.number}, hint {count} of {len(hints)}:")
    say(prose(hints[count - 1], terminal_width(WIDTH)))
    if count == len(hints):
        say("\n".join(wrap(f"There is no other hint. `minicaffe course show {chosen.number}` has an example: "
                           "compute it by hand, and compare.", terminal_width(WIDTH))))
    return 0


def _check(args: argparse.Namespace, folder: Folder, chosen: Step) -> int:
    """Grade a step, and remember whether it is passed."""
    from minicaffe.course.grader import grade  # not above: it imports numpy, and the other actions need not wait

    outcome = grade(chosen, folder.path, seed=args.seed)
    (folder.passed.add if outcome.done else folder.passed.discard)(chosen.number)
    if args.json:
        say(json.dumps(outcome.facts(), ensure_ascii=False))
    else:
        _tell(outcome, folder)
    folder.remember()
    return int(not outcome.done)


def _tell(outcome: Outcome, folder: Folder) -> None:
    """Print what came of a check, and how to go on."""
    width = terminal_width(WIDTH)
    say("\n".join(outcome.lines(width)))
    left, number = [n for n in steps() if n not in folder.passed], outcome.step.number
    if outcome.done and not left:
        say("All steps are passed.")
    elif outcome.done:
        after = [n for n in left if n > number]
        skipped = "" if after else f"{plural(len(left), 'step')} before it {'is' if len(left) == 1 else 'are'} not. "
        say("\n".join(wrap(f"Step {number} is passed. {skipped}Go on with `minicaffe course start "
                           f"{(after or left)[0]}`.", width)))
    else:
        say(f"Is the hint not enough? `minicaffe course hint {outcome.step.number}` gives more.")


BUG = "bug"
ACTIONS = {"start": _start, "show": _show, "check": _check, "hint": _hint}
