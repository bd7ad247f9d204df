"""`minicaffe course bug`: the bug hunts of the course."""

from __future__ import annotations

import argparse
import json

from minicaffe.cli.terminal import say
from minicaffe.course.folder import Folder
from minicaffe.course.hunt import NEAR, RIGHT, Hunt, hunt, hunts
from minicaffe.errors import MinicaffeError
from minicaffe.layout import entry, prose, terminal_width, wrap
from minicaffe.log import plural

WIDTH = 100  # columns of a page for a reader that is no terminal


def bug(args: argparse.Namespace, folder: Folder) -> int:
    """List the hunts, write the files of one and print its page, or say whether an answer is right."""
    if args.step is None:
        if args.answer is not None:
            raise MinicaffeError("--answer needs the number of the bug", hint="minicaffe course bug 1 --answer …")
        _list(folder)
        return 0
    chosen = hunt(args.step)
    if args.answer is not None:
        return _answer(args, folder, chosen)
    _start(folder, chosen)
    return 0


def _list(folder: Folder) -> None:
    """Print all hunts, and which of the bugs are found."""
    width = terminal_width(WIDTH)
    for one in hunts().values():
        say("\n".join(entry(f"{one.number:2}  {'found' if one.number in folder.found else ''}", one.title, 16, width)))
    found = len(folder.found & set(hunts()))
    say(f"\n{found} of {plural(len(hunts()), 'bug')} found in {folder.path.resolve()}.")
    say(_next(folder))


def _next(folder: Folder) -> str:
    """Say which hunt comes next."""
    left = [number for number in hunts() if number not in folder.found]
    return f"Go on with `minicaffe course bug {left[0]}`." if left else "All bugs are found."


def _start(folder: Folder, chosen: Hunt) -> None:
    """Write the files of a hunt, and print its page."""
    width = terminal_width(WIDTH)
    say(f"Bug {chosen.number}: " + prose(chosen.page.removeprefix("# ").rstrip("\n"), width))
    say()
    for name, what in folder.put({f"{chosen.name}/{name}": text for name, text in chosen.files.items()}):
        say("\n".join(entry(name, what, 32, width)))
    say("Say in which file and line it is, with a place of your own:")
    say(f"\n    minicaffe course bug {chosen.number} --answer {chosen.name}/{next(iter(chosen.files))}:1")


def _answer(args: argparse.Namespace, folder: Folder, chosen: Hunt) -> int:
    """Say whether an answer is right, and remember it."""
    verdict = chosen.judge(args.answer, folder.path)
    right, number = verdict.state == RIGHT, chosen.number
    folder.answers[number] = folder.answers.get(number, 0) + 1
    if right:
        folder.found.add(number)
    folder.remember()
    if args.json:
        say(json.dumps({"folder": str(folder.path.resolve()), "bug": number, "title": chosen.title,
                        "answer": verdict.place, "right": right, "near": verdict.state == NEAR,
                        "answers": folder.answers[number]}, ensure_ascii=False))
    else:
        begin = "Found." if right else "Not right."
        say("\n".join(wrap(f"{verdict.place}: {begin} {verdict.words}", terminal_width(WIDTH))))
        if right:
            say(_next(folder))
    return int(not right)
