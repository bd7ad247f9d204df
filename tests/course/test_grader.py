"""The grader against code that hangs, ends the process, prints, or would forge a verdict."""

import os
import sys
import time
from pathlib import Path

import pytest
from course_tools import solved

from minicaffe.course import grader
from minicaffe.course.grader import grade
from minicaffe.course.step import step

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this machine has no fork")


@pytest.fixture
def folder(tmp_path):
    """A student's folder in which step 1 is solved."""
    return solved(tmp_path, 1)


def graded(folder, before="", after="", **limits):
    """Grade step 1 with code in front of the solution's or behind it."""
    file = folder / "my_caffe" / "blob.py"
    file.write_text(f"{before}\n{file.read_text(encoding='utf-8')}\n{after}\n", encoding="utf-8")
    return grade(step(1), folder, **limits)


FAILS = {  # name of the hint -> code in front of the solution, or behind it
    "exit": ("import sys; sys.exit(0)", ""),
    "ended": ("import os; os._exit(0)", ""),
    "not_python": ("def f(:", ""),
    "imports_minicaffe": ("", "from minicaffe import Blob"),
    "working_folder": ("import os; os.chdir('/')", ""),
    "replaced": ("", "np.allclose = lambda *given, **named: True"),
    "recursion": ("", "def f(): f()\nf()"),
    "missing_name": ("", "del Blob"),
    "arguments": ("", "Blob.update = lambda: None"),
    "error": ("input()", ""),
    "missing_file": ("import my_caffe.nothing", ""),
    "list_for_blob": ("[].data", ""),
    "none": ("", "Blob.update = lambda self: print().data"),
    "blob_for_array": ("", "Blob.update = lambda self: self * 2"),
    "attribute_not_set": ("", "Blob.update = lambda self: {}.data"),
    "missing_key": ("", "Blob.update = lambda self: {}['power']"),
    "unknown_name": ("", "def update(self): data -= 1\nBlob.update = update"),
    "shapes_do_not_fit": ("", "Blob.update = lambda self: self.data @ self.data"),
    "no_numbers_in_it": ("", "Blob.update = lambda self: self.data[:0].max()"),
    "if_of_an_array": ("", "Blob.update = lambda self: max(self.data, self.diff)"),
    "max_of_two": ("", "Blob.update = lambda self: np.max(self.data, self.diff, 1)"),
    "sizes_not_shape": ("", "Blob.update = lambda self: np.random.randn((2, 3))"),
    "no_setter": ("", "def update(self): self.shape = ()\nBlob.update = update"),
    "too_few_items": ("", "Blob.update = lambda self: [][0]"),
    "outside_the_array": ("", "Blob.update = lambda self: self.data[99]"),
    "unusable": ("", "Blob.shape = property(lambda self: Odd())\nclass Odd(tuple):\n"
                     "    __eq__ = {}.__getitem__\n    __hash__ = None"),
}


@pytest.mark.parametrize("hint", FAILS)
def test_code_that_fails_in_its_own_way(folder, hint):
    """Each gets one clean message."""
    outcome = graded(folder, *FAILS[hint])

    assert hint == outcome.hint, "\n".join(outcome.lines(120))
    assert not outcome.done


def test_the_call_is_that_of_the_check(folder):
    """It is told as the check makes it, without what stands around it; and None has its hint in a call, too."""
    outcome = graded(folder, "", "Blob.update = lambda self: print()[0]")

    assert "none" == outcome.hint
    assert "blob.update()" == outcome.first_failed.wrong["called"] or sys.version_info < (3, 11)


def test_files_in_another_folder(folder):
    """The message says what is not there, and where a file was found instead."""
    file = folder / "my_caffe" / "blob.py"
    file.rename(folder / "blob.py")
    beside = grade(step(1), folder)
    assert "blob.py lies beside my_caffe: move it to my_caffe/blob.py" == beside.first_failed.wrong["hint"]
    (folder / "blob.py").unlink()
    nowhere = grade(step(1), folder)
    assert "`minicaffe course start 1` writes it" == nowhere.first_failed.wrong["hint"]
    (folder / "my_caffe").rename(folder / "other")
    without = grade(step(1), folder)
    assert "missing_folder" == without.hint
    assert without.first_failed.wrong["got"].startswith("there is no folder my_caffe in ")


def test_one_reason_is_told_once(folder):
    """Where no check can begin, the others are counted; a check that fails otherwise keeps its sentence."""
    lines = "\n".join(graded(folder, "def f(:").lines(100))
    assert "6 other checks, for the same reason." in lines
    assert 1 == lines.count("  failed   A new blob") == lines.count("SyntaxError")
    assert "reshape" not in lines
    outcome = graded(solved(folder, 1), "", "Blob.asum_data = lambda self: 0\nBlob.shape = ()")
    assert "The sums asum_data and asum_diff" in "\n".join(outcome.lines(200))


FORGERIES = {
    "a check of ours": "import sys; sys.modules['minicaffe.course.checking'].compare = lambda *given, **named: None",
    "its code": "import sys\nfor name, f in vars(sys.modules['minicaffe.course.steps.s01_blob.checks']).items():\n"
                "    if name.startswith('check_'): f.__code__ = (lambda my, draw: None).__code__",
    "a class of ours": "import sys; sys.modules['minicaffe.course.checking'].Wrong.__init__ = lambda *given: None",
    "Python's own": "import builtins; builtins.sorted = list",
    "an error that claims success": "raise KeyboardInterrupt",
    "a status of success": "import os, atexit; atexit.register(os._exit, 0); raise SystemExit(0)",
    "lines in every file": "import os, json\nfor name in {names}:\n"
                           "    for d in range(3, 64):\n"
                           "        try: os.write(d, (json.dumps({{'check': name, 'wrong': None, 'printed': ''}})"
                           " + '\\n').encode())\n        except OSError: pass\n",
    "lines on stdout": "import sys\nfor out in (sys.stdout, sys.__stdout__, sys.stderr):\n"
                       "    print('0' * 32, '{{\"check\": \"check_update\", \"wrong\": null}}', file=out)\n",
}


@pytest.mark.parametrize("what", FORGERIES)
def test_no_verdict_is_forged(folder, what):
    """Whatever the code replaces or writes, update() that goes uphill does not pass."""
    code = FORGERIES[what].format(names=[*step(1).checks])
    file = folder / "my_caffe" / "blob.py"
    file.write_text(file.read_text(encoding="utf-8").replace("self.data -=", "self.data +="), encoding="utf-8")
    outcome = graded(folder, "", code)

    assert not outcome.done
    assert "failed" == next(result for result in outcome.results if result.name == "check_update").state \
        or outcome.passed == 0


def test_an_object_that_equals_everything(folder):
    """What is compared is numbers, not what the student's class says of itself."""
    outcome = graded(folder, "", """
class Yes(np.ndarray):
    def __eq__(self, other): return True
    def __array_function__(self, *given): return True
    def __array_ufunc__(self, *given, **named): return np.zeros(())
Blob.count = property(lambda self: np.zeros(()).view(Yes))
""")

    assert not outcome.done


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(100)",
                                  "Blob.update = lambda self: [None for _ in iter(int, 1)]"])
def test_code_that_runs_too_long(folder, code):
    """It is ended after the time that a check may take, and the message has the line."""
    begin = time.monotonic()
    outcome = graded(folder, "", code, check_seconds=0.5)

    assert "too_long" == outcome.hint
    assert "and was in my_caffe/blob.py:" in outcome.first_failed.wrong["got"]
    assert time.monotonic() - begin < 10
    assert "not run" in {result.state for result in outcome.results}


def test_a_step_has_a_limit_too(folder):
    """Checks that each stay below their limit cannot take longer than the step may."""
    outcome = graded(folder, "import time", "Blob.__init__ = lambda self, shape=(): time.sleep(0.4)", step_seconds=0.6)

    assert outcome.seconds < 10
    assert not outcome.done


@forks
def test_code_that_even_the_clock_cannot_stop(folder, monkeypatch):
    """A process that says nothing any more is killed from outside."""
    monkeypatch.setattr(grader, "SLACK", 0.2)
    stops = "import ctypes; ctypes.PyDLL(None).sleep(100)"  # in C, where no other thread of Python runs
    outcome = graded(folder, "", stops, check_seconds=0.3)

    assert "ended" == outcome.hint
    assert "nothing came of it" in outcome.first_failed.wrong["got"]
    assert outcome.seconds < 15


@pytest.mark.slow
def test_printing_does_no_harm(folder):
    """A million lines change no verdict, and the first ones are shown where a check fails."""
    assert graded(folder, "", "for i in range(1000000): print('line', i)").done
    outcome = graded(folder, "", "Blob.count = property(lambda self: print('here', self.shape))")
    assert "no_numbers" == outcome.hint
    assert "here (" in "\n".join(outcome.lines(100))


@forks
def test_processes_that_the_code_starts_are_ended(folder):
    """A copy of the process that sleeps does not hold the grader up, and is gone afterwards."""
    outcome = graded(folder, "import os, time, pathlib", """
if os.fork() == 0:
    pathlib.Path("pid").write_text(str(os.getpid()))
    time.sleep(100)
""")
    assert outcome.seconds < 10
    time.sleep(0.1)
    pid = int((folder / "pid").read_text())
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_files_beside_the_package_replace_no_module(folder):
    """A file numpy.py or random.py of the student's is not taken for the module of that name."""
    for name in ("numpy.py", "random.py", "json.py", "minicaffe.py"):
        (folder / name).write_text("raise RuntimeError('not this one')")

    assert graded(folder).done


def test_a_file_saved_twice_in_a_second_is_read_anew(folder):
    """No compiled file is kept, in which an older state of the code could stand."""
    assert graded(folder).done
    assert [] == [*folder.rglob("__pycache__")]
