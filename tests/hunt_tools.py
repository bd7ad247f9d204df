"""What the tests of the bug hunts share: the answers in plain words. Run it, and it seals them into the package."""

import importlib.util
import json
from functools import cache
from pathlib import Path

from minicaffe.course.hunt import NEAR, RIGHT, hunts
from minicaffe.course.sealed import seal

HERE = Path(__file__).parent / "course" / "hunts"


@cache
def answers(number):
    """The module tests/course/hunts/h01.py."""
    spec = importlib.util.spec_from_file_location(f"answers_{number}", HERE / f"h{number:02}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def line_of(content, text):
    """The number of the first line that reads so."""
    return content.split("\n").index(text) + 1


def place_of(hunt, file, text):
    """The first line of a file that reads so, as the student names it."""
    return f"{hunt.name}/{file}:{line_of(hunt.files[file], text)}"


def in_one_line(text):
    """A text of several lines as one line."""
    return " ".join(text.split())


def places(hunt):
    """The places that are accepted."""
    return [place_of(hunt, file, line) for file, lines in answers(hunt.number).PLACES.items() for line in lines]


def near(hunt):
    """Near misses: place -> what the student reads."""
    return {place_of(hunt, file, line): in_one_line(words) for (file, line), words in answers(hunt.number).NEAR.items()}


def sealed_answers(hunt):
    """What answers.json must hold."""
    words = in_one_line(answers(hunt.number).EXPLANATION)
    return seal({place: f"{RIGHT}\n{words}" for place in places(hunt)}
                | {place: f"{NEAR}\n{words}" for place, words in near(hunt).items()})


if __name__ == "__main__":
    for one in hunts().values():
        (one.folder / "answers.json").write_text(json.dumps(sealed_answers(one), indent=1) + "\n", encoding="utf-8")
