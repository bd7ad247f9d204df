"""`minicaffe course`: what it prints and remembers, and its exit status."""

import json
from pathlib import Path

import pytest

from minicaffe.cli.__main__ import main
from minicaffe.course.folder import MEMORY
from minicaffe.course.outcome import Outcome, Result
from minicaffe.course.step import step, steps

SOLUTION = Path(__file__).parents[1] / "course" / "solutions" / "s01" / "my_caffe" / "blob.py"


@pytest.fixture
def course(tmp_path, monkeypatch, capsys):
    """A function that runs the command in an empty folder, and gives its status and what it printed, in one line."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        status = main(["course", *words])
        return status, " ".join("".join(capsys.readouterr()).split())

    return run


def test_the_list_of_steps(course):
    """Each step with its title, and what to do next."""
    status, text = course()

    assert status == 0
    assert all(one.title in text for one in steps().values())
    assert "0 of" in text
    assert "`minicaffe course start 1`" in text


def test_start_writes_over_nothing(course, tmp_path):
    """The files are written once; what the student has changed stays."""
    file = tmp_path / "my_caffe" / "blob.py"
    assert "my_caffe/blob.py written" in course("start", "1")[1]
    assert file.read_text(encoding="utf-8") == step(1).files["my_caffe/blob.py"]
    assert "my_caffe/blob.py there already, unchanged" in course("start", "1")[1]
    file.write_text("mine = 1\n")
    assert "my_caffe/blob.py left as it is: you have changed it" in course("start")[1]
    assert file.read_text() == "mine = 1\n"


def test_start_of_a_later_step(course):
    """It says that the steps before it are not passed."""
    assert "of which 2 steps are not passed here; the first is step 1" in course("start", "3")[1]


def test_check_remembers_what_is_passed(course, tmp_path):
    """Status 1 and then 0; the list and the next start know it; a step that breaks again is no longer passed."""
    course("start")
    status, text = course("check")
    assert status == 1
    assert "0 of 7 checks passed" in text
    (tmp_path / "my_caffe" / "blob.py").write_text(SOLUTION.read_text(encoding="utf-8"), encoding="utf-8")
    status, text = course("check")
    assert status == 0
    assert "Step 1 is passed. Go on with `minicaffe course start 2`." in text
    assert "1 passed Blob and diff" in course()[1]
    assert "Step 2:" in course("start")[1]
    (tmp_path / "my_caffe" / "blob.py").write_text("", encoding="utf-8")
    assert course("check", "1")[0] == 1
    assert "1 Blob and diff" in course()[1]


def test_a_step_out_of_order(course, monkeypatch):
    """After it comes the next one; behind the last one comes what was left out, and the message says so."""
    monkeypatch.setattr("minicaffe.course.grader.grade", lambda chosen, *more, **named: Outcome(
        chosen, "", [Result("check", "It works.", "passed")], 0.0))
    last = max(steps())

    assert "Step 5 is passed. Go on with `minicaffe course start 6`." in course("check", "5")[1]
    for number in range(3, last):
        course("check", str(number))
    assert f"Step {last} is passed. 2 steps before it are not. Go on with `minicaffe course start 1`." in \
        course("check", str(last))[1]
    assert "Go on with `minicaffe course start 2`." in course("check", "1")[1]
    assert "All steps are passed." in course("check", "2")[1]


def test_one_line_of_json(course, tmp_path, capsys):
    """For a classroom: the folder, the step, how many checks passed, and the name of the hint."""
    course("start", "1")
    assert main(["course", "check", "1", "--json", "--folder", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    facts = json.loads(text)

    assert text.count("\n") == 1
    assert facts.pop("seconds") > 0
    assert facts == {"folder": str(tmp_path.resolve()), "step": 1, "title": "Blob and diff", "done": False, "checks": 7,
                     "passed": 0, "failed": "check_new_blob", "hint": "unfinished"}


def test_hints_come_one_after_the_other(course):
    """Three of them; then the last one again."""
    texts = [course("hint", "1")[1] for _ in range(4)]

    assert [text[:20] for text in texts] == [f"Step 1, hint {n} of 3:"[:20] for n in (1, 2, 3, 3)]
    assert len(set(texts)) == 3
    assert texts[2] == texts[3]
    assert ["There is no other hint." in text for text in texts] == [False, False, True, True]


def test_the_page_is_printed(course):
    """With the title first."""
    assert course("show", "1")[1].startswith("Step 1: Blob and diff All numbers of a net live in blobs.")


def test_within_the_package(course, tmp_path, monkeypatch):
    """Whoever stands in my_caffe is told to go up, and gets no second my_caffe."""
    course("start")
    monkeypatch.chdir(tmp_path / "my_caffe")
    for action in ("start", "check"):
        status, text = course(action)
        assert status == 1
        assert "the course needs the folder around it hint: go there: cd .." in text
    assert not (tmp_path / "my_caffe" / "my_caffe").exists()


@pytest.mark.parametrize(("words", "message"), [
    (["show", "99"], "the course has no step 99 hint: its steps are 1 to"),
    (["check", "--folder", "nowhere"], "nowhere is not a folder"),
    (["show", "1", "--json"], "--json is for `minicaffe course check`")])
def test_errors(course, words, message):
    """One message, and status 1."""
    status, text = course(*words)

    assert status == 1
    assert message in text


@pytest.mark.parametrize("content", ["", "[]", '{"passed": 1, "hints": {}}', '{"passed": [], "hints": []}', "\udc80"])
def test_a_damaged_memory(course, tmp_path, content):
    """The error says what to do."""
    (tmp_path / MEMORY).write_bytes(content.encode("utf-8", "surrogateescape"))
    status, text = course()

    assert status == 1
    assert "remove it, and check the steps again" in text
