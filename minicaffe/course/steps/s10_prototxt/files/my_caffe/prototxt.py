"""Prototxt: the text in which nets are written, read into dicts."""

import re
from typing import NamedTuple


class Token(NamedTuple):
    """A piece of a text that means something: a name, a number, a word, a string with its quotes, or one of : { }."""

    text: str
    line: int  # in which it stands; the first line is 1


def tokens(text):
    """Return the tokens of a text in their order, a list of Token. White space and comments make none.

    Raise ValueError("line N: …") for a string that does not end in its line.
    """
    raise NotImplementedError


def value(word):
    """Return what the text of a token means: an int, a float, True or False, or else a str.

    A string loses its quotes. Within it, a backslash with n or t is a line end or a tab, and a backslash with any
    other character is that character. A word such as MAX is a str as it is.
    """
    raise NotImplementedError


def parse(text):
    """Return the fields of a text as a dict: name -> list of its values, in their order. A message is a dict again.

    Raise ValueError("line N: …") where the text is not as it must be. N is the line of the token that does not fit.
    Where a message has no end, it is the line of its opening brace.
    """
    raise NotImplementedError


def one(fields, name, default=None):
    """Return the value of a field that may stand once; `default` where there is none.

    Raise ValueError, with the name in its text, where there are several.
    """
    raise NotImplementedError
