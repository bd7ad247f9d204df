"""SIGINT, SIGTERM and SIGHUP as a training takes them: noted at once, answered at the end of the iteration."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from minicaffe import system
from minicaffe.log import At, warn
from minicaffe.solvers import Action

EFFECTS = tuple(action.value for action in Action)


@contextmanager
def watching(solver: Any, sigint_effect: str, sighup_effect: str, sigterm_effect: str = "stop") -> Iterator[None]:
    """Let the signals ask `solver` to snapshot, to stop, or nothing, while the block runs.

    After a Ctrl-C or a SIGTERM that stops, the next one ends the process at once: snapshots are whole or absent all
    the same.
    """
    effects = {signal.SIGINT: Action(sigint_effect), signal.SIGTERM: Action(sigterm_effect)}
    at_once: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    if system.HANGUP is not None:
        effects = {system.HANGUP: Action(sighup_effect), **effects}  # Caffe: answers SIGHUP first
    seen: dict[int, bool] = dict.fromkeys(effects, False)
    # A signal may come in the middle of a line of the log, and files refuse a second writer that interrupts the first.
    # So the handler only puts its words into a queue, and a thread writes them.
    words: SimpleQueue[str] = SimpleQueue()
    speaker = threading.Thread(target=_warn_of_each, args=(words,), name="signals", daemon=True)
    speaker.start()

    def note(number: int, frame: Any) -> None:
        seen[number] = True
        if number in at_once and effects[signal.Signals(number)] is Action.STOP:
            signal.signal(number, at_once[number])
            again = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
            words.put(f"Stopping after this iteration; {again} again stops at once")

    def requested() -> Action:
        for number, action in effects.items():
            if seen[number]:
                seen[number] = False
                return action
        return Action.NONE

    before = {number: signal.signal(number, note) for number in effects}
    solver.requested_action = requested
    try:
        yield
    finally:
        solver.requested_action = lambda: Action.NONE
        for number, handler in before.items():
            signal.signal(number, handler)
        words.put("")
        speaker.join()


def _warn_of_each(words: SimpleQueue[str]) -> None:
    """Write what is put into the queue, up to an empty text."""
    while text := words.get():
        warn(At.SIGNAL, text)
