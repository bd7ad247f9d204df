"""Every bug hunt: the commands find the fault, and only its place is accepted."""

import json
import re
import sys

import pytest
from hunt_tools import answers, in_one_line, line_of, near, place_of, places, sealed_answers

from minicaffe.cli.__main__ import main
from minicaffe.course.folder import Folder
from minicaffe.course.hunt import NEAR, NOT_IT, RIGHT, WRONG, hunt, hunts
from minicaffe.errors import MinicaffeError

NUMBERS = [pytest.param(number, id=f"h{number:02}") for number in hunts()]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A student's folder, in which commands are run. The modules of a hunt are read anew in each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    forget()
    yield tmp_path
    forget()


def forget():
    """Let the modules of all hunts be imported again."""
    for name in [name for name in sys.modules if re.match(r"bug_\d", name)]:
        del sys.modules[name]


@pytest.fixture
def run(folder, capsys):
    """A function that runs a command of a hunt's page, and returns what it has put out: text, or a trace's page."""
    def command(line):
        commands.append(line)
        forget()
        capsys.readouterr()
        words = line.split()
        extra = ["--proofs", "0"] if words[1] == "trace" else []  # proofs take time, and no test needs them
        main([*words[1:], *extra])
        if "--out" in words:
            return (folder / words[words.index("--out") + 1]).read_text(encoding="utf-8")
        said = capsys.readouterr()
        return said.out + said.err

    commands = command.commands = []
    return command


def lay_out(folder, one):
    """Put the files of a hunt into a folder."""
    Folder(folder).put({f"{one.name}/{name}": text for name, text in one.files.items()})


def mend(folder, one):
    """Mend the files of a hunt in a folder."""
    for file, old, new in answers(one.number).MENDED:
        path = folder / one.name / file
        text = path.read_text(encoding="utf-8")
        assert 1 == text.count(old), "the edit must have one place"
        path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("number", NUMBERS)
def test_the_commands_of_the_page_find_the_fault(number, folder, run):
    """They point at the place, and no longer do so when the fault is mended."""
    one = hunt(number)
    lay_out(folder, one)
    assert answers(number).points(run)
    page = one.page.replace(" \\\n        ", " ")  # a command of two lines
    assert [] == [line for line in run.commands if f"    {line}\n" not in page]
    mend(folder, one)
    assert not answers(number).points(run)


@pytest.mark.parametrize("number", NUMBERS)
def test_gradients_of_mended_files_are_right(number, folder, run):
    """Also of the planted ones, where the page says so."""
    one = hunt(number)
    lay_out(folder, one)
    command = ["check", f"{one.name}/net.prototxt"]
    if getattr(answers(number), "GRADIENTS_ARE_RIGHT", False):
        assert 0 == main(command)
    mend(folder, one)
    forget()
    assert 0 == main(command)


@pytest.mark.parametrize("number", NUMBERS)
def test_no_other_place_is_accepted(number, tmp_path):
    """Each line of each file: the planted ones are right, those of NEAR get their words, and all others are refused."""
    one = hunt(number)
    expected = {place: (RIGHT, in_one_line(answers(number).EXPLANATION)) for place in places(one)}
    expected |= {place: (NEAR, words) for place, words in near(one).items()}
    all_places = [f"{one.name}/{file}:{line}" for file, text in one.files.items()
                  for line in range(1, text.count("\n") + 1)]

    assert set(expected) < set(all_places)
    assert len(expected) == len(places(one)) + len(near(one))
    for place in all_places:
        verdict = one.judge(place, tmp_path)
        assert (place, *expected.get(place, (WRONG, NOT_IT))) == verdict


@pytest.mark.parametrize("number", NUMBERS)
def test_the_accepted_places_are_the_mended_ones(number):
    """What mends the files replaces the accepted lines, or adds others."""
    one, own = hunt(number), answers(number)
    for file, lines in own.PLACES.items():
        mended = one.files[file]
        for name, old, new in own.MENDED:
            mended = mended.replace(old, new) if name == file else mended
        kept = set(mended.split("\n"))
        moved = [line for line in lines if line in kept]

        assert all(1 == one.files[file].split("\n").count(line) for line in lines)
        assert moved == [] or sorted(moved) == sorted(lines)  # in another order


@pytest.mark.parametrize("number", NUMBERS)
def test_the_answers_are_sealed(number):
    """What is stored is what tests/course/hunts says, and none of it can be read."""
    one = hunt(number)
    stored = (one.folder / "answers.json").read_text(encoding="utf-8")

    assert sealed_answers(one) == json.loads(stored), "python tests/hunt_tools.py writes it anew"
    for word in ("right", "near", *one.files, *re.findall(r"\w{5,}", answers(number).EXPLANATION)):
        assert word not in stored


@pytest.mark.parametrize("number", NUMBERS)
def test_the_texts_of_a_hunt(number):
    """A page of one screen that ends with the question; it does not tell the place or the explanation."""
    one = hunt(number)
    lines = one.page.split("\n")

    assert lines[0].startswith("# ")
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert [] == [line for line in lines if line.startswith("    ") and len(line) > 80], "at 80 columns it would break"
    assert re.fullmatch(r"In which line of .* is the fault\?", lines[-2])
    assert "minicaffe " in one.page
    assert all(f"{one.name}/{file}" in one.page for file in answers(number).PLACES)
    assert not any(line.strip() in one.page for lines in answers(number).PLACES.values() for line in lines)
    assert not re.search(r"\b(fault|wrong|bug|mistake)\b", " ".join(one.files.values()).replace(one.name, ""))


def test_there_is_a_hunt_of_each_kind():
    """Nine, numbered without a gap, and each of another kind."""
    kinds = [answers(number).__doc__.partition(": ")[2] for number in hunts()]

    assert [*range(1, len(hunts()) + 1)] == [*hunts()]
    assert {"a sign.", "a forgotten 1/N.", "a missing sum in Split.", "shifted labels.", "softmax twice.",
            "a rate too high.", "dead ReLUs.", "an in-place overwrite.", "statistics at the wrong phase."} <= set(kinds)


# --- the command -----------------------------------------------------------------------------------------------------


def said(capsys):
    """What was printed, as one line."""
    return " ".join(capsys.readouterr().out.split())


def test_a_hunt_from_the_list_to_the_answer(folder, capsys):
    """The list, the page with its files, a wrong answer, the right one, the list again."""
    assert 0 == main(["course", "bug"])
    assert f"0 of {len(hunts())} bugs found in {folder}" in said(capsys)
    assert 0 == main(["course", "bug", "2"])
    text = said(capsys)
    assert "Bug 2: The larger the batch" in text
    assert "bug_2/loss.py written" in text
    assert hunt(2).files == {path.name: path.read_text(encoding="utf-8") for path in (folder / "bug_2").iterdir()}
    assert 1 == main(["course", "bug", "2", "--answer", "bug_2/loss.py:1"])
    assert f"bug_2/loss.py:1: Not right. {NOT_IT}" == said(capsys)
    assert 0 == main(["course", "bug", "2", "--answer", places(hunt(2))[0]])
    text = said(capsys)
    assert text.startswith(f"{places(hunt(2))[0]}: Found. The loss is a mean over N samples")
    assert text.endswith("Go on with `minicaffe course bug 1`.")
    main(["course", "bug"])
    text = said(capsys)
    assert "2 found The larger the batch" in text
    assert f"1 of {len(hunts())} bugs found" in text
    assert "Go on with `minicaffe course bug 1`." in text


def test_an_answer_for_a_classroom(folder, capsys):
    """One line of JSON, with the number of answers so far."""
    right = places(hunt(1))[0]
    for place in ("bug_1/layers.py:1", next(iter(near(hunt(1)))), right):
        main(["course", "bug", "1", "--answer", place, "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert [(False, False, 1), (False, True, 2), (True, False, 3)] == [
        (line["right"], line["near"], line["answers"]) for line in lines]
    assert {"folder": str(folder), "bug": 1, "title": "Three bends", "answer": right} == {
        key: lines[-1][key] for key in ("folder", "bug", "title", "answer")}


@pytest.mark.parametrize("answer", ["layers.py:{}", "./bug_3/layers.py:{}", "bug_3\\layers.py:{}",
                                    "/home/me/course/bug_3/layers.py:{}", " bug_3/layers.py:{} "])
def test_ways_to_write_a_place(answer, tmp_path):
    """The folder may be left out, or be written in full."""
    place = place_of(hunt(3), "layers.py", "                bottom[0].diff[...] = blob.diff")
    verdict = hunt(3).judge(answer.format(place.rpartition(":")[2]), tmp_path)

    assert (place, RIGHT) == verdict[:2]


@pytest.mark.parametrize(("answer", "says", "hint"), [
    ("fork", "the answer 'fork' is not a file and a line", "bug_3/layers.py:12"),
    ("layers.py", "is not a file and a line", "bug_3/net.prototxt"),
    ("layers.py:x", "is not a file and a line", ""), ("bug_2/layers.py:3", "a place in bug 2, and this is bug 3", ""),
    ("layer.py:3", "bug 3 has no file 'layer.py'", "did you mean 'layers.py'?"),
    ("layers.py:0", "has no line 0", "its lines are 1 to"), ("layers.py:400", "has no line 400", "its lines are 1 to")])
def test_answers_that_name_no_place(answer, says, hint, tmp_path):
    with pytest.raises(MinicaffeError, match=re.escape(says)) as caught:
        hunt(3).judge(answer, tmp_path)

    assert hint in (caught.value.hint or "")


def test_lines_of_files_that_the_student_has_changed(folder):
    """They are taken for the lines from which they come."""
    one = hunt(3)
    lay_out(folder, one)
    path = folder / one.name / "layers.py"
    text = path.read_text(encoding="utf-8")
    planted = "                bottom[0].diff[...] = blob.diff"
    right = place_of(one, "layers.py", planted)
    above = "import numpy as np\n\n" + text.replace("            for blob in top:\n" + planted,
                                                    "            print(top[0].diff)\n            for blob in top:\n"
                                                    + planted.replace("=", "+=", 1))
    path.write_text(above, encoding="utf-8")

    assert (right, RIGHT) == one.judge(f"layers.py:{line_of(above, planted.replace('=', '+=', 1))}", folder)[:2]
    assert WRONG == one.judge(f"layers.py:{line_of(above, 'class Join(Layer):')}", folder).state
    with pytest.raises(MinicaffeError, match="is one that you have added"):
        one.judge(f"layers.py:{line_of(above, '            print(top[0].diff)')}", folder)


def test_files_of_the_student_are_not_written_over(folder, capsys):
    """A second call leaves what was changed, and says so."""
    main(["course", "bug", "4"])
    (folder / "bug_4" / "feed.py").write_text("mine", encoding="utf-8")
    capsys.readouterr()
    main(["course", "bug", "4"])

    assert "bug_4/feed.py left as it is: you have changed it" in said(capsys)
    assert "mine" == (folder / "bug_4" / "feed.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(("words", "says"), [
    (["bug", "99"], "there is no bug 99 to hunt"), (["bug", "--answer", "a.py:1"], "--answer needs the number"),
    (["show", "1", "--answer", "a.py:1"], "--answer is for `minicaffe course bug N`"),
    (["bug", "1", "--json"], "--json is for")])
def test_calls_that_mean_nothing(words, says, folder, capsys):
    assert 1 == main(["course", *words])
    assert says in capsys.readouterr().err


def test_a_hunt_forgets_no_step(folder):
    """Steps and hunts are remembered in the same file."""
    made = Folder(folder)
    made.passed, made.hints = {1, 2}, {3: 2}
    made.remember()
    main(["course", "bug", "1", "--answer", places(hunt(1))[0]])
    kept = Folder(folder)

    assert ({1, 2}, {3: 2}, {1}, {1: 1}) == (kept.passed, kept.hints, kept.found, kept.answers)
