"""The page docs/SYLLABUS.md: it leaves nothing out, and its commands run."""

import os
import re
import shutil
from pathlib import Path

import pytest
from extras import needs
from pages import Reader

from minicaffe.course import hunts, steps

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "SYLLABUS.md").read_text(encoding="utf-8")
STEPS = {int(folder.name[1:3]): folder for folder in Path(steps.__file__).parent.glob("s[0-9]*")}
HUNTS = list(Path(hunts.__file__).parent.glob("h[0-9]*"))


def test_each_step_has_its_week():
    """The twenty steps stand in their order, with their titles."""
    named = [step for line in re.findall("^- Build: (.*)", PAGE, re.MULTILINE) for step in line.split("; ")]

    assert [f"step {n}" for n in range(1, 21)] == [step.split(", ")[0] for step in named]
    assert 20 == len(STEPS)
    for n, folder in STEPS.items():
        title = (folder / "page.md").read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        assert f"step {n}, {title}" == named[n - 1]


def test_each_hunt_has_its_week():
    """All hunts stand in their order."""
    named = re.findall(r"\d", "".join(re.findall("^- Find: (.*)", PAGE, re.MULTILINE)))

    assert [str(n) for n in range(1, len(HUNTS) + 1)] == named


@pytest.mark.parametrize("pages", ["maths/*.md", "guide/*.md", "notebooks/*.py", "traces/*.prototxt"])
def test_each_page_has_its_week(pages):
    """Nothing that teaches is left out."""
    files = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob(pages)]

    assert files
    assert [] == [file for file in files if file != "maths/README.md" and file not in PAGE]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the commands are those of a POSIX shell")
def test_the_commands_run(tmp_path):
    """All commands of the page are run in their order, beside copies of the folders that they name."""
    needs("h5py")
    reader = Reader(tmp_path)
    for folder in ("docs/traces", "examples/logistic_regression", "examples/custom_layer"):
        shutil.copytree(ROOT / folder, reader.here / folder)
    reader.run("sh -e", "\n".join(re.findall("^      (.*)", PAGE, re.MULTILINE)))
    made = {path.name for path in reader.here.rglob("*.html")}

    assert made == set(re.findall(r"--out (\w+\.html)", PAGE))
    assert 7 == len(made)
