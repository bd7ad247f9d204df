"""Put docs/loss.html together from its words, its style and script, and the numbers that the layer computes."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import yaml

from loss_page.grid import grid
from loss_page.lessons import divisors, slips
from loss_page.versions import TYPE, VERSIONS
from minicaffe.layer import layer_class
from minicaffe.pages import page

HERE = Path(__file__).parent
TARGET = HERE.parent / "loss.html"
LANGUAGES = {"en": "en", "zh": "zh-CN"}  # in words.yaml, and as HTML names them
MARK = "[\u3001-\u303f\uff01-\uff1f]"  # Chinese punctuation
CHINESE = "[\u4e00-\u9fff]"
BLANK = f"(?<={MARK}) | (?={MARK})|(?<={CHINESE}) (?={CHINESE})"


def build() -> str:
    """Return the whole page."""
    words = without_blanks(yaml.safe_load(part("words.yaml")))
    data = {**grid(), "divisors": divisors(),
            "words": {language: in_language(words["script"], language) for language in LANGUAGES},
            "presets": [preset["set"] for preset in words["presets"]]}
    return page(words["script"]["title"]["en"], body(words), data=data, styles=[part("page.css")],
                scripts=[part("page.js")])


def part(name: str) -> str:
    """Return the text of a file of this folder."""
    return (HERE / name).read_text(encoding="utf-8")


def without_blanks(words: Any) -> Any:
    """Return a tree of words in whose Chinese no blank stands where YAML has joined two lines."""
    if isinstance(words, list):
        return [without_blanks(each) for each in words]
    if not isinstance(words, dict):
        return words
    return {name: re.sub(BLANK, "", below) if name == "zh" else without_blanks(below) for name, below in words.items()}


def in_language(words: dict[str, Any], language: str) -> Any:
    """Return a tree of words in one of its languages."""
    if language in words:
        return words[language]
    return {name: in_language(below, language) for name, below in words.items()}


def both(word: dict[str, str] | str, tag: str = "span") -> str:
    """Return a text in all languages as HTML; the style sheet shows one of them. What is a string is in no language."""
    if isinstance(word, str):
        return f"<{tag}>{word}</{tag}>"
    return "".join(f'<{tag} lang="{LANGUAGES[language]}">{word[language]}</{tag}>' for language in LANGUAGES)


def body(words: dict[str, Any]) -> str:
    """Return the page's body: page.html, in which {name} is a text and {CAPITALS} something that is made here."""
    made = {"PRESETS": presets(words["presets"]), "VERSIONS": "\n".join(version(n, words["page"]) for n in range(1, 6)),
            "SLIPS": "\n".join(slip(n, each) for n, each in enumerate(words["slips"]))}
    texts = {name: both(word) for name, word in words["page"].items()}
    return re.sub(r"\{(\w+)\}", lambda found: {**made, **texts}[found[1]], part("page.html"))


def presets(each: list[dict[str, Any]]) -> str:
    """Return a button for each preset, and below them what there is to see in it."""
    buttons = [f'<button type="button" data-preset="{n}">{both(preset["name"])}</button>'
               for n, preset in enumerate(each)]
    notes = [f'<p class="note" id="note-{n}" hidden>{both(preset["note"])}</p>' for n, preset in enumerate(each)]
    return "\n".join([*buttons, *notes])


# --- the five versions ------------------------------------------------------------------------------------------------

def version(number: int, words: dict[str, Any]) -> str:
    """Return the card of a version: its code, and for the loss and for the gradient a plot, a number and a list."""
    lines = [f'<article class="version" id="version-{number}">', f'<h3>{both(words[f"name_{number}"])}</h3>',
             f'<p class="why">{both(words[f"why_{number}"])}</p>']
    for name, text in zip(("loss", "slope"), code(number), strict=True):
        lines += [f'<h4>{both(words[name])}</h4>', f"<pre>{text}</pre>",
                  f'<svg class="{name}" viewBox="0 0 230 {130 if name == "loss" else 110}" aria-hidden="true"></svg>',
                  f'<p class="number"><output class="{name}"></output> <span class="verdict"></span></p>',
                  f'<ul class="red {name}"></ul>']
    return "\n".join([*lines, "</article>"])


def code(number: int) -> list[str]:
    """Return the code of a version's loss and of its gradient, as it runs."""
    if number == 5:
        layer = layer_class(TYPE)
        return [layer_lines(layer._loss), layer_lines(layer._slope)]
    sources = [inspect.getsource(function) for function in VERSIONS[number - 1]]
    return [escaped(textwrap.dedent(source.split("\n", 1)[1])) for source in sources]


def layer_lines(method: Any) -> str:
    """Return the lines of the layer's plain formulas, without the focal ones and without comments."""
    plain = inspect.getsource(method).split("(x, t, self.alpha, self.gamma)\n")[1]
    return escaped(textwrap.dedent(re.sub(r"^ *#.*\n|  #.*$", "", plain, flags=re.MULTILINE)))


def escaped(text: str) -> str:
    """Return code as HTML, without the prefix of numpy's names, which the narrow cards have no room for."""
    return text.strip().replace("np.", "").replace("&", "&amp;").replace("<", "&lt;")


# --- find the mistake -------------------------------------------------------------------------------------------------

def slip(number: int, words: dict[str, Any]) -> str:
    """Return the box of one slip: lines to choose from, a reply to each, and the numbers that prove it."""
    numbers = slips()
    lines, replies = [], []
    for n, (line, reply) in enumerate(zip(words["lines"], words["replies"], strict=True)):
        right = ' data-wrong="yes"' if n == words["wrong"] else ""
        lines.append(f'<li><button type="button" data-line="{n}"{right}>{both(filled(line, numbers))}</button></li>')
        proof = "".join(f"<li>{both(filled(fact, numbers))}</li>" for fact in words["proof"])
        replies.append(f'<div class="reply" hidden><p>{both(filled(reply, numbers))}</p>'
                       + (f"<ul>{proof}</ul>" if right else "") + "</div>")
    return "\n".join([f'<article class="slip" id="slip-{number}">', f'<h3>{both(words["title"])}</h3>',
                      f'<p>{both(words["given"])}</p>', "<ol>", *lines, "</ol>",
                      '<div aria-live="polite">', *replies, "</div>", "</article>"])


def filled(word: dict[str, str] | str, numbers: dict[str, str]) -> dict[str, str] | str:
    """Return a text with the numbers that it names."""
    if isinstance(word, str):
        return word.format_map(numbers)
    return {language: text.format_map(numbers) for language, text in word.items()}


if __name__ == "__main__":
    TARGET.write_text(build(), encoding="utf-8")
