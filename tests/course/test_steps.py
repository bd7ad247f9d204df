"""Every step of the course: the stub fails, the solution passes, each wrong variant fails with its own hint."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from course_server import Server
from course_tools import solution_files, solved, wrong_variants

from minicaffe.cli.__main__ import main
from minicaffe.course import grader
from minicaffe.course.checking import UNKNOWN
from minicaffe.course.folder import Folder
from minicaffe.course.grader import STEP_SECONDS, grade
from minicaffe.course.step import Step, step, steps
from minicaffe.log import plural

NUMBERS = [pytest.param(number, id=f"s{number:02}") for number in steps()]
VARIANTS = [pytest.param(number, variant, id=f"s{number:02}-{variant.name}") for number in steps()
            for variant in wrong_variants(number)]
CODE = ("    >>> ", "    ... ", "    minicaffe ")  # lines of a page that a student copies
TRIVIAL = 20  # characters of a line that a solution and a page may have in common


@pytest.fixture(scope="module")
def server():
    """The process whose copies grade."""
    made = Server()
    yield made
    made.close()


@pytest.fixture
def quickly(server, monkeypatch):
    """No new process is started to grade, where there is another way."""
    if hasattr(os, "fork"):
        monkeypatch.setattr(grader, "_messages", server.messages)


@pytest.fixture(scope="module")
def folder_before(tmp_path_factory):
    """A function that gives a folder with the solutions of the steps up to a number, made once and only read."""
    made = {}

    def folder(upto):
        if upto not in made:
            made[upto] = solved(tmp_path_factory.mktemp("solved"), upto)
        return made[upto]

    return folder


@pytest.mark.slow
def test_all_steps_are_walked_in_one_folder(tmp_path, capsys, monkeypatch):
    """From the stubs of the first step to the last: each step fails as it begins, and passes with its solution."""
    monkeypatch.chdir(tmp_path)
    for number in steps():
        assert main(["course", "start"]) == 0
        assert f"Step {number}:" in capsys.readouterr().out
        assert main(["course", "check"]) == 1
        assert "is not written yet" in capsys.readouterr().out
        for name, text in solution_files(number).items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        assert main(["course", "check"]) == 0, capsys.readouterr().out
    capsys.readouterr()
    main(["course"])
    assert f"{len(steps())} of {plural(len(steps()), 'step')} passed in" in capsys.readouterr().out


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_solution_passes(number, seed, folder_before, quickly):
    """With two seeds, and in less than half of the time that a step may take."""
    outcome = grade(step(number), folder_before(number), seed=seed)

    assert outcome.done, "\n".join(outcome.lines(120))
    assert outcome.seconds < STEP_SECONDS / 2


@pytest.mark.parametrize("number", NUMBERS)
def test_the_stub_fails_in_every_check(number, tmp_path, quickly):
    """No check passes by itself, whatever was solved before."""
    Folder(solved(tmp_path, number - 1)).write(step(number))
    outcome = grade(step(number), tmp_path)

    assert outcome.passed == 0
    assert "unfinished" == outcome.hint


@pytest.mark.slow
@pytest.mark.parametrize(("number", "variant"), VARIANTS)
def test_wrong_variants_fail_with_their_hints(number, variant, tmp_path, folder_before, quickly):
    """Each mistake is told by its own name."""
    shutil.copytree(folder_before(number), tmp_path, dirs_exist_ok=True)
    text = (tmp_path / variant.file).read_text(encoding="utf-8")
    assert 1 == text.count(variant.old), "the edit must have one place"
    (tmp_path / variant.file).write_text(text.replace(variant.old, variant.new), encoding="utf-8")
    outcome = grade(step(number), tmp_path)

    assert variant.hint == outcome.hint, "\n".join(outcome.lines(120))
    assert not outcome.done


@pytest.mark.parametrize("number", NUMBERS)
def test_each_step_has_enough_wrong_variants(number):
    """At least five, with names and hints of their own."""
    variants = wrong_variants(number)

    assert len({variant.hint for variant in variants} - {UNKNOWN}) >= 5
    assert UNKNOWN not in {variant.hint for variant in variants}
    assert len({variant.name for variant in variants}) == len(variants)


@pytest.mark.parametrize("number", NUMBERS)
def test_no_solution_is_shown(number):
    """What show, start and hint print has no line of the solution, but for short ones and those of files to fill."""
    one = step(number)
    given = {line.strip() for text in one.files.values() for line in text.split("\n")}
    shown = "\n".join([one.page, *one.hints, *(text for other in steps().values() for text in other.files.values())])
    lines = {line.strip() for text in solution_files(number).values() for line in text.split("\n")} - given

    assert [] == [line for line in lines if len(line) >= TRIVIAL and line in shown]
    assert [] == [line for line in lines if line and any(line in part.split("\n") for part in [one.page, *one.hints])]


@pytest.mark.parametrize("number", NUMBERS)
def test_the_examples_of_a_page(number, folder_before):
    """What a page shows of a session with Python is what the solution gives."""
    run = subprocess.run([sys.executable, "-B", "-m", "doctest", str(step(number).folder / "page.md")],
                         cwd=folder_before(number), capture_output=True, text=True, encoding="utf-8")

    assert (0, "") == (run.returncode, run.stdout + run.stderr)
    assert ">>> " in step(number).page


@pytest.mark.parametrize("number", NUMBERS)
def test_the_texts_of_a_step(number):
    """A title, a page of a screen or two, three hints, and a sentence for each check."""
    one = step(number)
    lines = one.page.split("\n")

    assert lines[0].startswith("# ")
    assert len(lines) <= 70
    assert max(map(len, lines)) <= 100
    assert [] == [line for line in lines if line.startswith(CODE) and len(line) > 80], "at 80 columns it would break"
    assert 3 == len(one.hints)
    assert all(check.__doc__.endswith(".") and "\n" not in check.__doc__ for check in one.checks.values())


def test_the_files_that_pages_name():
    """Each is in the repository, and each notebook belongs to a step."""
    project = Path(__file__).parents[2]
    named = {name for one in steps().values() for name in re.findall(r"(?:docs|minicaffe)/[\w/]+\.\w+", one.page)}

    assert [] == [name for name in named if not (project / name).is_file()]
    assert {f"docs/notebooks/{path.name}" for path in (project / "docs" / "notebooks").glob("*.py")} <= named


def test_the_steps_are_numbered_without_a_gap():
    """From 1 on."""
    assert [*range(1, len(steps()) + 1)] == [*steps()]


def test_no_checks_are_a_failure(tmp_path, monkeypatch):
    """A step without checks cannot be passed."""
    monkeypatch.setattr("importlib.import_module", lambda name: ModuleType(name))

    with pytest.raises(RuntimeError, match="has no checks"):
        grade(Step(1, tmp_path), tmp_path)
