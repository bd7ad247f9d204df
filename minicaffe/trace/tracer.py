"""Run a function and write down each line that it executes, with what the line wrote.

In the block `with Tracer.watching()`, Python calls the tracer for every line (sys.settrace). The tracer follows only
functions of the files that it is given: those of a layer, of its family's bases, and the definitions of kernels.

Some functions are not stepped into: one that only returns an expression; a generator, which runs a piece at a time; and
one whose results are cached, because its lines run in the first call alone.

Of a loop the first two rounds and the last one are kept. Between them one step says how many rounds were left out. All
rounds are compared, because only after a round is it known whether it was the last.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np

from minicaffe.trace.changes import Seen
from minicaffe.trace.code import Function, Statement, function_of

FIRST_ROUNDS = 2  # of a loop, which are kept; the last is kept too

New = tuple[str, np.ndarray | None, str]


@dataclass
class Step:
    """One executed line. `new` is (name, copy of the array or None, text); `skipped` counts rounds that are left out.

    also       further names whose arrays have changed with those of `new`, for they lie in the same memory
    written    the names of arrays that the statement has computed, by which its formula is found
    caller     the step of the line that has called this function; None in the function that was called first
    """

    function: Function
    statement: Statement
    line: int
    depth: int
    new: list[New] = field(default_factory=list)
    also: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    calls: bool = False
    skipped: int = 0
    caller: Step | None = None
    shown: Step | None = None  # for a line that has called: the step that stands before those of the called function


@dataclass
class Loop:
    """A loop that runs: its head, the rounds begun, and the steps of this round and of the last that was whole."""

    head: Statement
    outside: list[Step]          # where the steps of the loop go
    rounds: int = 0
    now: list[Step] = field(default_factory=list)
    last: list[Step] = field(default_factory=list)
    skipped: int = 0

    def next_round(self) -> None:
        """Put away the steps of the round that has just ended."""
        if self.rounds == 0:
            pass
        elif self.rounds <= FIRST_ROUNDS:
            self.outside += self.now
        else:
            self.skipped += bool(self.last)
            self.last = self.now
        self.rounds, self.now = self.rounds + 1, []


class Frame:
    """A call of a function that is traced."""

    def __init__(self, tracer: Tracer, function: Function, frame: FrameType, caller: Frame | None) -> None:
        self.tracer, self.function, self.caller = tracer, function, caller
        self.depth: int = caller.depth + 1 if caller else 0
        self.loops: list[Loop] = []
        self.step: Step | None = None
        self.calling = caller.step if caller else None
        self.seen = Seen(frame.f_locals)
        first = Step(function, Statement(function.first, function.first), function.first, self.depth,
                     caller=self.calling)
        first.new = [(name, self.seen.copy_of(name), "") if name in self.seen.arrays else
                     (name, None, self.seen.texts[name]) for name in frame.f_locals
                     if name in self.seen.arrays or name in self.seen.texts]
        tracer.sink.append(first)

    def line(self, frame: FrameType, line: int) -> None:
        """Note that a line is about to run: the one before it has ended."""
        statement = self.function.statements.get(line)
        if statement is None:
            return
        if self.step and self.step.statement is statement and not statement.loop:
            return  # another line of the same statement
        self.end_step(frame)
        while self.loops and not self.loops[-1].head.line <= line <= self.loops[-1].head.loop:
            self.end_loop()
        if statement.loop:
            if not self.loops or self.loops[-1].head is not statement:
                self.loops.append(Loop(statement, self.tracer.sink))
            self.loops[-1].next_round()
            self.tracer.sink = self.loops[-1].now
        self.step = Step(self.function, statement, statement.line, self.depth, caller=self.calling)

    def end_step(self, frame: FrameType) -> None:
        """Compare what the frame's names reach with what they reached before, and add the step of the last line."""
        step = self.step
        if step is None:
            return
        now = Seen(frame.f_locals, self.seen)
        names = now.written(self.seen, step.statement)
        step.new = now.changes(names, step.statement.targets)
        shown = {name for name, *_ in step.new}
        step.also = [name for name in names if name not in shown]
        # of the other names of an array, those of blobs: its name in the datasheet follows from them
        step.written = [name for name in names if name in now.arrays and (name in shown or "." in name) and (
            step.statement.computes or (step.statement.has_call and now.fresh(name, self.seen)))]
        if "np.empty" in step.statement.text:  # what happens to be in new memory is not the work of this line
            step.new = [(name, None, "not filled yet") if name in step.statement.targets else (name, array, text)
                        for name, array, text in step.new]
        self.seen = now
        if step.shown:
            step.written = step.shown.written = step.written or step.shown.written
        if step.new or not step.shown:
            self.tracer.sink.append(step)
        self.step = None

    def calls(self) -> None:
        """Note that the line that runs has called a traced function: its steps follow this one."""
        if self.step and not self.step.shown:
            self.step.shown = Step(self.function, self.step.statement, self.step.line, self.depth, calls=True,
                                   caller=self.calling)
            self.tracer.sink.append(self.step.shown)

    def end_loop(self) -> None:
        """Add the kept rounds of the innermost loop to what is outside of it."""
        loop = self.loops.pop()
        # the last round has only looked for another element and found none, or was left in the middle
        if loop.now and not (len(loop.now) == 1 and loop.now[0].statement is loop.head):
            loop.next_round()
        if loop.skipped:
            loop.outside.append(Step(self.function, loop.head, loop.head.line, self.depth, skipped=loop.skipped,
                                     caller=self.calling))
        loop.outside += loop.last
        self.tracer.sink = loop.outside

    def end(self, frame: FrameType) -> None:
        """Note that the function returns."""
        self.end_step(frame)
        while self.loops:
            self.end_loop()


class Tracer:
    """Follows functions line by line.

    files    the files whose functions are followed
    names    of the functions that may be called first; what they call is followed, too, in these files
    steps    what ran, in order
    """

    def __init__(self, files: Collection[str], names: Collection[str]) -> None:
        self.files, self.names = frozenset(files), frozenset(names)
        self.steps: list[Step] = []
        self.sink = self.steps
        self._stack: list[Frame] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Follow what runs in the block. Afterwards a debugger or a coverage tool goes on tracing.

        In the block np.empty gives zeros: what happens to be in new memory differs from run to run.
        """
        before, empty = sys.gettrace(), {"empty": np.empty, "empty_like": np.empty_like}
        vars(np).update(empty=np.zeros, empty_like=np.zeros_like)
        sys.settrace(self.called)
        try:
            yield
        finally:
            sys.settrace(before)
            vars(np).update(empty)

    def called(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        code = frame.f_code
        if event != "call" or code.co_filename not in self.files or code.co_name.startswith("<"):
            return None
        if not self._stack and code.co_name not in self.names:
            return None
        if hasattr(frame.f_globals.get(code.co_name), "cache_info") or code.co_flags & inspect.CO_GENERATOR:
            return None
        function = function_of(code)
        if function is None or function.trivial:
            return None
        caller = self._stack[-1] if self._stack else None
        if caller:
            caller.calls()
        made = Frame(self, function, frame, caller)
        self._stack.append(made)

        def follow(frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
            if event == "line":
                made.line(frame, frame.f_lineno)
            elif event == "return":
                made.end(frame)
                self._stack.pop()
            return follow

        return follow
