"""Prototxt: the text in which nets are written, read into dicts."""

import re
from typing import NamedTuple

PIECE = re.compile(r"""\s+ | \#[^\n]* |
                       (?P<token> "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' | [:{}] | [^\s:{}"'\#]+)""",
                   re.VERBOSE)
ESCAPES = {"n": "\n", "t": "\t"}


class Token(NamedTuple):
    """A piece of a text that means something: a name, a number, a word, a string with its quotes, or one of : { }."""

    text: str
    line: int  # in which it stands; the first line is 1


def tokens(text):
    found, at, line = [], 0, 1
    while at < len(text):
        piece = PIECE.match(text, at)
        if piece is None:
            raise ValueError(f"line {line}: a string has no end")
        if piece["token"]:
            found.append(Token(piece["token"], line))
        line += piece[0].count("\n")
        at = piece.end()
    return found


def value(word):
    if word[0] in "\"'":
        return re.sub(r"\\(.)", lambda match: ESCAPES.get(match[1], match[1]), word[1:-1])
    if word in ("true", "false"):
        return word == "true"
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            pass
    return word


def parse(text):
    fields, _ = read(tokens(text), 0, None)
    return fields


def read(all_tokens, at, opening):
    """Read fields from token `at` on, to the end of the message whose brace is `opening`, or of the text."""
    fields = {}
    while at < len(all_tokens):
        name = all_tokens[at]
        at += 1
        if name.text == "}" and opening is not None:
            return fields, at
        if not re.fullmatch(r"[A-Za-z_]\w*", name.text):
            raise ValueError(f"line {name.line}: there must be a name, and not {name.text}")
        sign = token_at(all_tokens, at, name)
        if sign.text not in (":", "{"):
            raise ValueError(f"line {sign.line}: after {name.text} there must be a : or a {{, and not {sign.text}")
        if sign.text == ":":
            at += 1
            sign = token_at(all_tokens, at, name)
        at += 1
        if sign.text == "{":
            content, at = read(all_tokens, at, sign)
        elif sign.text in (":", "}"):
            raise ValueError(f"line {sign.line}: {name.text} has no value")
        else:
            content = value(sign.text)
        fields.setdefault(name.text, []).append(content)
    if opening is not None:
        raise ValueError(f"line {opening.line}: this message has no end")
    return fields, at


def token_at(all_tokens, at, name):
    if at == len(all_tokens):
        raise ValueError(f"line {name.line}: {name.text} has no value")
    return all_tokens[at]


def one(fields, name, default=None):
    values = fields.get(name, [default])
    if len(values) > 1:
        raise ValueError(f"{name} may stand once only, and stands {len(values)} times")
    return values[0]
