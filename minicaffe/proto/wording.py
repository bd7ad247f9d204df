"""Say the text parsers' errors in plain words, with a hint at what may have been meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from minicaffe import proto
from minicaffe.errors import near_names
from minicaffe.proto.forks import fork_hint, is_of_fork

_ESCAPED = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v"}
_STRING = re.compile(r""""(?:\\.|[^"\\])*\\?"?|'(?:\\.|[^'\\])*\\?'?""")
_ESCAPE = re.compile(r"""\\(?:[abfnrtv?'"\\]|[0-3]?[0-7]{1,2}(?![0-7])|x[0-9a-fA-F]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}"""
                     r"|U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})")  # that a string may hold


def explain(error: str, root: Any, line: str = "") -> tuple[str, str]:
    """Return a sentence and a hint for a text parser's error in a line; `root` describes the outermost message."""
    if re.search(r"\bcodec can't |\bescape\b", error):
        return bad_escape(line)
    return _about_names(error, root) or _about_value(error) or _about_marks(error) or (error, "")


def _about_names(error: str, root: Any) -> tuple[str, str] | None:
    """Explain an error about a name: an unknown field, a field set twice, or an unknown enum value."""
    if found := re.match(r'Message type "caffe\.(\w+)" has no field named "(.*)"', error, re.DOTALL):
        return unknown_field(proto.message_class(found[1]).DESCRIPTOR, found[2], root)
    if found := re.match(r'Message type "caffe\.(\w+)" should not have multiple "(\w+)" fields', error):
        return f"{found[2]!r} is specified multiple times in one {found[1]}, which takes it once", ""
    if found := re.match(r'Enum type "(caffe\.[\w.]+)" has no value (?:named|with number) (.*)\.$', error):
        return unknown_enum_value(proto.pool.FindEnumTypeByName(found[1]), found[2])
    return None


def _about_value(error: str) -> tuple[str, str] | None:
    """A field has a value of another kind than its own."""
    if found := re.match(r"Expected string but found: '(.*)'", error):
        hint = f'strings stand in quotes: "{found[1]}"' if re.fullmatch(r"[\w./-]+", found[1]) else ""
        return f"expects a string in quotes, got {found[1] or 'the end of the file'}", hint
    if found := re.match(r"Couldn't parse (integer|float): (.*)", error):
        kind = {"integer": "an integer", "float": "a number"}[found[1]]
        hint = {"'": "numbers stand without quotes", '"': "numbers stand without quotes",
                "(": "several values stand in brackets: [3, 3]"}.get(found[2][:1], "")
        return f"expects {kind}, got {found[2] or 'the end of the file'}", hint
    if error.startswith('Expected "true"'):
        return "expects true or false", ""
    if found := re.match(r"String missing ending quote: (.*)", error):
        return f"a string without its ending quote: {found[1]}", ""
    if error.startswith("Value out of range"):
        return error[0].lower() + error[1:], "a size or count is never negative" if "-" in error else ""
    return None


def _about_marks(error: str) -> tuple[str, str] | None:
    """A brace, a colon or a field's name is missing where the parser looks for one."""
    if error == 'Expected "}".':  # the parser looks for it beyond the last field of the file
        return "a '}' is missing: this message is still open at the end of the file", ""
    if error == 'Expected ":".':
        return "expects ':' here", "a field is written NAME: VALUE"
    if found := re.match(r'Expected "(.)"\.', error):
        return f"expects {found[1]!r} here", ""
    if found := re.match(r"Expected identifier or number, got (.*)\.", error):
        return f"expects a field's name, got {found[1]!r}", "one '}' too many?" if found[1] == "}" else ""
    return None


def bad_escape(line: str) -> tuple[str, str]:
    """Return the sentence and the hint for a string in which a backslash begins an escape that does not exist."""
    for string in _STRING.findall(line):
        if string.endswith('\\"'):
            return "a backslash makes the quote behind it a letter of the string, which then has no end", \
                f'a path takes slashes: {windows_path(string[:-1])}"'
        left = _ESCAPE.sub("", string)
        if "\\" in left:
            found = left[left.index("\\"):][:2]
            return f"a backslash begins an escape in a string, and {found} begins none that can be read", \
                f"a path takes slashes: {windows_path(string)}; a backslash of its own is written twice: \\\\"
    return "a string holds bytes that are not UTF-8", \
        r"a backslash begins an escape; one of its own is written twice: \\"


def windows_path(path: str) -> str:
    """Return a Windows path written with slashes, which every system takes and which begin no escapes.

    Escapes that were read by mistake are undone: a tab in a path was \\t.
    """
    slashes = path.replace("\\\\", "/").replace("\\", "/")
    return "".join(f"/{_ESCAPED[letter]}" if letter in _ESCAPED else letter for letter in slashes)


def path_hint(path: str) -> str:
    """Return the cure for a path with a line break or the like in it, which is a mistake; '' for other paths."""
    if not any(letter in _ESCAPED for letter in path):
        return ""
    return f"a backslash begins an escape in a string, so this path holds {_listed(path)}; a path takes slashes: " \
           f'"{windows_path(path)}", and a backslash of its own is written twice: \\\\'


def _listed(path: str) -> str:
    words = {"\n": "a line break", "\t": "a tab"}
    found = (words.get(letter, "a control character") for letter in path if letter in _ESCAPED)
    return " and ".join(dict.fromkeys(found))


def strings(message: Any) -> Iterator[str]:
    """Every text that is set anywhere in a message."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        for one in value if proto.is_repeated(field) else [value]:
            if isinstance(one, str):
                yield one
            else:
                yield from strings(one)


def unknown_field(message: Any, name: str, root: Any = None) -> tuple[str, str]:
    """Return the sentence and the hint for a field that `message` (a descriptor) does not have."""
    sentence = f"{message.name} has no field {name!r}"
    if hint := fork_hint(name):  # before near names: a fork's field may resemble one of Caffe's
        return sentence, hint
    if name.isdigit():  # after `0,5` the parser takes the 5 for the next field
        return sentence, f"a decimal is written with a point: 0.{name}"
    if name in ("layer", "layers") and message is not root:
        return sentence, f"is a '}}' missing above? The {message.name} before is still open"
    if message is root:  # a whole file of another kind?
        for other, kind in (("SolverParameter", "a solver's"), ("NetParameter", "a net's")):
            fields = proto.message_class(other).DESCRIPTOR.fields_by_name
            if name in fields and other != message.name:
                return sentence, f"it is {kind} field: was the other file meant?"
    near = _near_field(name, [field.name for field in message.fields if not is_of_fork(field)]) \
        or _near_field(name, [field.name for field in message.fields])
    homes = [field.name for field in message.fields if field.message_type and field.message_type != message
             and name in field.message_type.fields_by_name and field.name.endswith("param")]
    if homes and not near:  # a misspelt name is more likely than a field in the wrong message
        return sentence, "it belongs inside " + " or ".join(f"{home} {{ }}" for home in homes[:4])
    return sentence, near


def _near_field(name: str, known: list[str]) -> str:
    """Do the same as `near_names`, but compare names without _param: with it, all such names would be similar."""
    if not name.endswith("_param"):
        return near_names(name, known)
    stems = [field.removesuffix("_param") for field in known if field.endswith("_param")]
    return re.sub(r"(\w)'", r"\1_param'", near_names(name.removesuffix("_param"), stems))


def unknown_enum_value(enum: Any, name: str) -> tuple[str, str]:
    """Return the sentence and the hint for a name or number that an enum (a descriptor) does not have."""
    known = [value.name for value in enum.values]
    bare = name.strip("\"'")
    sentence = f"{enum.name} has no value {bare if name.isdigit() else repr(bare)}"
    if bare != name and bare in known:
        return f"{enum.name} is written without quotes", f"write {bare}"
    if enum.name == "LayerType" and bare != name:
        return sentence, "old nets write `layers` and CONVOLUTION, new ones `layer` and \"Convolution\""
    return sentence, near_names(bare, known) or ("known: " + ", ".join(known) if len(known) <= 8 else "")
