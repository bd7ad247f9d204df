"""What came of grading a step: in words for the student, and as numbers for a classroom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from minicaffe.course.step import Step
from minicaffe.layout import entry
from minicaffe.log import plural

COLUMN = 11  # where the sentences begin, behind 'passed', 'failed', 'not run'
INDENT = " " * COLUMN


class Result(NamedTuple):
    """One check: its name and sentence, whether it passed, and what is wrong where it failed."""

    name: str
    sentence: str
    state: str  # 'passed', 'failed' or 'not run'
    wrong: dict[str, str] | None = None
    printed: str = ""


class Outcome(NamedTuple):
    """All checks of a step, in order."""

    step: Step
    folder: str
    results: list[Result]
    seconds: float

    @property
    def passed(self) -> int:
        """The number of checks that passed."""
        return sum(result.state == "passed" for result in self.results)

    @property
    def done(self) -> bool:
        """Whether the step is passed: there are checks, and each of them has passed."""
        return 0 < len(self.results) == self.passed

    @property
    def first_failed(self) -> Result | None:
        """The check whose mistake is told; those after it may fail for the same reason."""
        return next((result for result in self.results if result.state == "failed"), None)

    @property
    def hint(self) -> str:
        """The name of the hint that fits the mistake; '' where nothing failed."""
        failed = self.first_failed
        return failed.wrong["name"] if failed and failed.wrong else ""

    def facts(self) -> dict[str, Any]:
        """Return what --json prints."""
        return {"folder": self.folder, "step": self.step.number, "title": self.step.title, "done": self.done,
                "checks": len(self.results), "passed": self.passed,
                "failed": self.first_failed.name if self.first_failed else None, "hint": self.hint or None,
                "seconds": round(self.seconds, 2)}

    @property
    def alike(self) -> list[Result]:
        """The checks that failed for the very reason of the first one, such as a file that Python cannot read."""
        first = self.first_failed
        return [result for result in self.results if result is not first and first and first.wrong and result.wrong
                and all(result.wrong[part] == first.wrong[part] for part in ("got", "hint"))]

    def lines(self, width: int) -> Iterator[str]:
        """Yield what is printed for the student."""
        alike = self.alike
        yield f"Step {self.step.number}: {self.step.title}"
        for result in self.results:
            if result in alike:
                continue
            yield from entry(result.state, result.sentence, COLUMN, width)
            if result is self.first_failed and result.wrong:
                for label in ("called", "got", "expected", "hint"):
                    yield from entry(label, result.wrong[label], COLUMN + 10, width, INDENT)
                if result.printed.strip():
                    yield f"{INDENT}printed:"
                    yield from (f"{INDENT}  {line}" for line in result.printed.strip("\n").split("\n"))
        if alike:
            yield from entry("failed", f"{plural(len(alike), 'other check')}, for the same reason.", COLUMN, width)
        yield f"{self.passed} of {plural(len(self.results), 'check')} passed."
