"""SIGINT, SIGTERM, SIGHUP and SIGUSR1.

During a training they are noted at once, and obeyed at the end of the iteration. A tool is ended by SIGTERM as by
Ctrl-C.
Open MPI's mpirun kills its processes half a second after it got one of the first three, which may be too soon for a
snapshot. It hands SIGUSR1 on to all of them, and waits until they have ended.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from minicaffe import system
from minicaffe.log import At, warn
from minicaffe.solvers import Action

EFFECTS = tuple(action.value for action in Action)
AT_ONCE: dict[int, tuple[str, Any]] = {  # signal -> what users call it, and the handler that ends the process at once
    signal.SIGINT: ("Ctrl-C", signal.default_int_handler), signal.SIGTERM: ("SIGTERM", signal.SIG_DFL)}


@contextmanager
def watching(solver: Any, sigint_effect: str, sighup_effect: str, sigterm_effect: str = "stop",
             sigusr1_effect: str = "stop") -> Iterator[None]:
    """Let signals make `solver` write a snapshot, stop, or do nothing, while the block runs.

    After a Ctrl-C or a SIGTERM that stops, the next one ends the process at once. That is safe even while a snapshot is
    written: its files get their names only when they are complete.
    """
    effects = {signal.SIGINT: Action(sigint_effect), signal.SIGTERM: Action(sigterm_effect)}
    if system.HANGUP is not None:  # Windows has no SIGHUP
        effects = {system.HANGUP: Action(sighup_effect), **effects}  # Caffe: obeys SIGHUP first
    if system.USER is not None:
        effects[system.USER] = Action(sigusr1_effect)
    with _warnings() as words:
        noted = _Noted(effects, words)
        before = {number: signal.signal(number, noted.note) for number in effects}
        solver.requested_action = noted.requested
        try:
            yield
        finally:
            solver.requested_action = lambda: Action.NONE
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM raise SystemExit while the block runs. Without that, it kills a program before it can clean up."""
    def end(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # no other one may set a handler
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Noted:
    """The signals that have come, and that the solver has not yet obeyed."""

    def __init__(self, effects: Mapping[signal.Signals, Action], words: SimpleQueue[str]) -> None:
        self.effects = effects
        self.words = words
        self.seen: dict[int, bool] = dict.fromkeys(effects, False)

    def note(self, number: int, frame: Any) -> None:
        """Remember a signal; if it stops the training, let the next one of its kind end the process."""
        self.seen[number] = True
        if number in AT_ONCE and self.effects[signal.Signals(number)] is Action.STOP:
            name, handler = AT_ONCE[number]
            signal.signal(number, handler)
            self.words.put(f"Stopping after this iteration; {name} again stops at once")

    def requested(self) -> Action:
        """Return what the first of the signals asks for, and forget that one."""
        for number, action in self.effects.items():
            if self.seen[number]:
                self.seen[number] = False
                return action
        return Action.NONE


@contextmanager
def _warnings() -> Iterator[SimpleQueue[str]]:
    """Log as a warning each text that is put into the queue, while the block runs.

    A signal may interrupt the writing of a log line, and Python's files refuse a write that interrupts another. So the
    handler only puts its text into a queue, and a thread logs it.
    """
    words: SimpleQueue[str] = SimpleQueue()
    thread = threading.Thread(target=_warn_of_each, args=(words,), name="signals", daemon=True)
    thread.start()
    try:
        yield words
    finally:
        words.put("")
        thread.join()


def _warn_of_each(words: SimpleQueue[str]) -> None:
    """Log each text of the queue, up to an empty one."""
    while text := words.get():
        warn(At.SIGNAL, text)
