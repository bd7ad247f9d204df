"""The checks of step 10: tokens, values, fields in messages, and texts with mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minicaffe.course.checking import UNKNOWN, Draw, Mistake, Wrong, expect
from minicaffe.course.student import Student
from minicaffe.proto import NetParameter, is_repeated
from minicaffe.proto import text as proto_text

SHOWN = 300  # characters of a value that are shown
LENET = """
name: "LeNet"
layer {
  name: "data"  type: "Input"  top: "data"
  input_param { shape: { dim: 64 dim: 1 dim: 28 dim: 28 } }  # 64 images
}
layer {
  name: "conv1"
  type: "Convolution"
  bottom: "data"
  top: "conv1"
  param { lr_mult: 1 }  # of the weights
  param { lr_mult: 2 }
  convolution_param {
    num_output: 20
    kernel_size: 5
    weight_filler { type: "gaussian" mean: -0.5 std: 1.25e-1 }
    bias_filler { type: "constant" }
  }
}
# layer { name: "conv2" }
layer { name: 'pool1' type: 'Pooling' bottom: 'conv1' top: 'pool1'
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "loss # 1" type: "SoftmaxWithLoss" bottom: "pool1" bottom: "label" loss_weight: .5
  include { phase: TRAIN } include { stage: "a{b}" }
  loss_param { normalize: false } }
"""


def _match(called: str, got: Any, right: Any, mistakes: Sequence[Mistake]) -> None:
    """Raise Wrong where two values of Python differ, with the hint of the first mistake that gives what was got."""
    if _alike(got, right):
        return
    for mistake in mistakes:
        if _alike(got, mistake.value):
            raise Wrong(called, _short(got), _short(right), mistake.name, mistake.hint)
    expect(got is not None, called, None, _short(right), "nothing_returned", "a function without `return` gives None")
    place, found, expected = _first_difference(got, right)
    raise Wrong(called + place, _short(found), _short(expected), UNKNOWN, "none of the mistakes that this check knows "
                "gives this. Print the tokens of this text, and follow your code from one to the next.")


def _alike(a: Any, b: Any) -> bool:
    """Return whether two values are equal and of one kind: 2, 2.0, True and "2" are four different ones."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(a[name], b[name]) for name in b)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_alike, a, b))
    return type(a) is type(b) and bool(a == b)


def _first_difference(a: Any, b: Any) -> tuple[str, Any, Any]:
    """Return where two values differ, as it is written behind a name, and what stands there in both."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return next(_below(name, a[name], b[name]) for name in b if not _alike(a[name], b[name]))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return next(_below(i, one, other) for i, (one, other) in enumerate(zip(a, b, strict=True))
                    if not _alike(one, other))
    return "", a, b


def _below(key: Any, a: Any, b: Any) -> tuple[str, Any, Any]:
    place, found, expected = _first_difference(a, b)
    return f"[{key!r}]{place}", found, expected


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _changed(tree: Any, of_list: Callable[[list[Any]], Any]) -> Any:
    """Return a tree of fields in which each list of values is another one."""
    return {name: of_list([_changed(v, of_list) if isinstance(v, dict) else v for v in values])
            for name, values in tree.items()}


# --- tokens and values --------------------------------------------------------------------------------------------


def _tokens(my: Student, text: str, right: list[tuple[str, int]], mistakes: Sequence[Mistake]) -> None:
    texts = [word for word, _ in right]
    _match(f"[token.text for token in tokens({text!r})]", [token.text for token in my.prototxt.tokens(text)], texts,
           mistakes)
    lines = [line for _, line in right]
    _match(f"[token.line for token in tokens({text!r})]", [token.line for token in my.prototxt.tokens(text)], lines, [
        Mistake("lines_from_zero", [line - 1 for line in lines], "the first line is line 1, as editors count"),
        Mistake("lines_not_counted", [1] * len(lines), "each line end begins another line: count them, wherever they "
                "stand"),
        Mistake("comment_lines_not_counted", _lines_where(text, texts, lambda line: not line.lstrip().startswith("#")),
                "a line that is a comment is a line, too: count it"),
        Mistake("empty_lines_not_counted", _lines_where(text, texts, lambda line: bool(line.strip())), "an empty line "
                "is a line, too: where several line ends follow each other, count them all")])


def _lines_where(text: str, texts: list[str], counts: Callable[[str], bool]) -> list[int]:
    """Return the lines of these tokens where only some lines are counted."""
    numbers, at, number = [], 0, 0
    for line in text.split("\n"):
        number += counts(line)
        code = line.partition("#")[0]
        while at < len(texts) and texts[at] in code:
            code = code.split(texts[at], 1)[1]
            numbers.append(number)
            at += 1
    return numbers


def check_tokens(my: Student, draw: Draw) -> None:
    """Names, values and signs are tokens, with or without blanks between them; each has its line."""
    a, b, c = draw.sizes(3, high=99)
    text = f"pad:{a} stride : {b}\n\nparam{{lr_mult:{c}\n}}"
    right = [("pad", 1), (":", 1), (str(a), 1), ("stride", 1), (":", 1), (str(b), 1), ("param", 3), ("{", 3),
             ("lr_mult", 3), (":", 3), (str(c), 3), ("}", 4)]
    _tokens(my, text, right, [
        Mistake("split_at_blanks", text.split(), "the signs : { } are tokens of their own, also where no blank stands "
                "beside them"),
        Mistake("signs_lost", [word for word, _ in right if word not in ":{}"], "the signs : { } are tokens, too: they "
                "say what belongs together"),
        Mistake("colons_lost", [word for word, _ in right if word != ":"], "the colon is a token, too: without it, "
                "'pad 2' would be the same as 'pad: 2'"),
        Mistake("colon_in_word", text.replace("{", " { ").replace("}", " } ").split(), "the colon is a token of its "
                "own: no word goes over it"),
        Mistake("colon_at_name", [word for word in text.replace("{", " { ").replace(":", ": ").split() if word != ":"],
                "the colon is a token of its own, not a part of the name")])
    expect(my.prototxt.tokens(" \n") == [], "tokens(' \\n')", my.prototxt.tokens(" \n"), "[]", "empty_text",
           "white space makes no token")


def check_comments(my: Student, draw: Draw) -> None:
    """A comment goes from # to the end of its line, and makes no token."""
    a, b = draw.sizes(2, high=99)
    text = f"# a net\n#\npad: {a}# not 5: {{\nstride: {b} #"
    right = [("pad", 3), (":", 3), (str(a), 3), ("stride", 4), (":", 4), (str(b), 4)]
    words = [word for word, _ in right]
    _tokens(my, text, right, [
        Mistake("rest_of_text_lost", words[:3], "a comment ends with its line. What comes after it counts."),
        Mistake("rest_of_text_lost", [], "a comment ends with its line. What comes after it counts."),
        Mistake("comment_after_value", [*words[:2], f"{a}#", "not", "5", ":", "{", *words[3:]], "a # begins a comment "
                "also where no blank stands before it"),
        Mistake("comment_after_value", [*words[:2], f"{a}#", *words[3:]], "a # begins a comment also where no blank "
                "stands before it, so it is no part of a word"),
        Mistake("only_whole_lines", [*words[:3], "not", "5", ":", "{", *words[3:]], "drop the text of the comment, and "
                "not only the #")])


def check_strings(my: Student, draw: Draw) -> None:
    """A string is one token with its quotes, whatever stands in it."""
    a = draw.sizes(1, high=99)[0]
    for string, name, hint in (
            ('"data"', "string_cut", "a string is one token"),
            (f'"x {{{a}}}: y"', "string_cut", "a string is one token, whatever blanks and signs stand in it"),
            (f'"x # {a}"', "comment_in_string", "the # in a string begins no comment. Where comments are dropped "
             "first, half of the string is gone: look for strings and comments in one go, from the left to the right"),
            (f"'a {a}'", "single_quotes", "a string may have single quotes, too"),
            ("'a \"b\"'", "single_quotes", "a string ends with the kind of quote with which it began; the other kind "
             "is a character in it"),
            ('"c \\" d"', "escaped_quote", "a backslash takes the meaning of a sign away from the next character: "
             "this quote does not end the string"),
            ('"e\\\\"', "escaped_backslash", "the backslash before the last quote is itself taken by the one before "
             "it, so this quote ends the string: a backslash and the next character always go together"),
            ('""', "empty_string_lost", "a string may have no characters")):
        text = f'name:{string}pad: {a} top: "t"'
        right = ["name", ":", string, "pad", ":", str(a), "top", ":", '"t"']
        called = f"[token.text for token in tokens({text!r})]"
        try:
            got = [token.text for token in my.prototxt.tokens(text)]
        except ValueError as error:
            raise Wrong(called, f"ValueError: {error}", right, name, hint) from None
        expect(got != [*right[:2], string[1:-1], *right[3:-1], "t"], called, got, right, "quotes_dropped", "tokens "
               "keep their quotes: without them, the string \"5\" would be the number 5")
        expect(got == right, called, got, right, name, hint)


def check_values(my: Student, draw: Draw) -> None:
    """A token means an int, a float, True or False, or a str."""
    a, b = draw.sizes(2, high=99)
    for word, right in ((f"{a}", a), (f"-{b}", -b), (f"{a}.5", a + 0.5), (f"-.{b:02}", -b / 100), (f"{a}.", float(a)),
                        (f"{a}e-2", float(f"{a}e-2")), ("true", True), ("false", False), ("MAX", "MAX"),
                        ("TRAIN", "TRAIN"), ('"data"', "data"), ("'it'", "it"), (f'"{a}"', str(a)),
                        ('"true"', "true"), ('""', ""), ('"a \\"b\\" \\\\ c"', 'a "b" \\ c'), ("'\\ta\\n'", "\ta\n"),
                        ('"\\\\n"', "\\n")):
        got, called = my.prototxt.value(word), f"value({word!r})"
        if got == right and isinstance(right, int) and isinstance(got, float):
            raise Wrong(called, repr(got), repr(right), "number_kind", "a number without a point or an exponent is an "
                        "int: sizes of shapes must be such")
        _match(called, got, right, [
            Mistake("word_kept", word, _KEPT[type(right)]),
            *([Mistake("false_is_true", True, "bool('false') is True, as it is for every string that is not empty: "
                       "compare the word itself"),
               Mistake("true_is_false", False, "the words are true and false, in small letters")]
              if isinstance(right, bool) else []),
            *([Mistake("quoted_number", read, "in quotes it is a string: look for quotes first") for read in (a, True)]
              if word[0] in "\"'" else []),
            Mistake("quotes_within_lost", right.replace('"', "") if isinstance(right, str) else None, "only the first "
                    "and the last quote are taken off"),
            Mistake("one_quote_kept", f"{right}{word[-1]}", "both quotes are taken off, also the last one"),
            Mistake("one_quote_kept", f"{word[0]}{right}", "both quotes are taken off, also the first one"),
            Mistake("escapes_kept", word[1:-1], "a backslash is no part of the string: \\\" means the quote, \\n a "
                    "line end"),
            Mistake("backslash_twice", _one_after_the_other(word[1:-1]), "two backslashes are one backslash, and the n "
                    "after them is an n. Where replace runs once for each kind, the second sees what the first has "
                    "made: read from the left to the right")])


_KEPT = {int: "a number without a point is an int", float: "a number with a point or an exponent is a float",
         bool: "true and false become True and False", str: "a string loses its quotes"}


def _one_after_the_other(text: str) -> str:
    for pair, meaning in (("\\\\", "\\"), ('\\"', '"'), ("\\n", "\n"), ("\\t", "\t")):
        text = text.replace(pair, meaning)
    return text


# --- fields -------------------------------------------------------------------------------------------------------


def _parse(my: Student, text: str, right: Any, mistakes: Sequence[Mistake] = (),
           refused: tuple[str, str] = ("text_refused", "nothing is wrong with this text")) -> None:
    """Fail where the student's parse gives another tree, or an error; `refused` is the hint for the latter."""
    try:
        got = my.prototxt.parse(text)
    except ValueError as error:
        raise Wrong(f"parse({text!r})", f"ValueError: {error}", _short(right), *refused) from None
    _match(f"parse({text!r})", got, right, [*mistakes, *_mistakes_of_any(right)])


def _mistakes_of_any(right: Any) -> list[Mistake]:
    """Return the mistakes of any tree of fields."""
    return [
        Mistake("nothing_kept", {}, "the dict is empty: each value is added to the list of its name"),
        Mistake("last_value_wins", _changed(right, lambda values: values[-1:]), "the value before is gone. A name may "
                "stand several times: add to its list."),
        Mistake("last_value_wins", _changed(right, lambda values: values[-1]), "the value before is gone. A name may "
                "stand several times, so it has a list of values."),
        Mistake("first_value_stays", _changed(right, lambda values: values[:1]), "a name may stand several times: add "
                "each value to its list"),
        Mistake("single_value_without_list", _changed(right, lambda values: values if len(values) > 1 else values[0]),
                "a single value is in a list, too. Else whoever reads it must look each time whether it is one."),
        Mistake("order_turned", _changed(right, lambda values: values[::-1]), "the values have the order of the text"),
        Mistake("message_without_list", _changed(right, lambda values: values[0] if isinstance(values[0], dict)
                                                 else values),
                "a message is a value like others, and so is in the list of its name")]


def check_fields(my: Student, draw: Draw) -> None:
    """Each name has the list of its values, in their order."""
    a, b, c = draw.sizes(3, high=99)
    first = {"name": ["net"], "dim": [a, b, c], "pool": ["MAX"]}
    _parse(my, f'name: "net" dim: {a} dim: {b} pool: MAX dim: {c}', first, [
        Mistake("values_not_read", {"name": ['"net"'], "dim": [str(a), str(b), str(c)], "pool": ["MAX"]}, "the dict "
                "holds values, not the texts of tokens: call value")])
    _parse(my, "", {}, [
        Mistake("one_dict_for_all", first, "these are the fields of the text before. A default value such as fields={} "
                "is made once, and shared by all calls: make the dict within the function.")])
    _parse(my, "a: true\nb: false\n", {"a": [True], "b": [False]})


BRACE = "a colon may stand before the brace of a message: look at what follows the colon"


def check_messages(my: Student, draw: Draw) -> None:
    """A message is a dict in the list of its name, and may hold messages; a colon before its brace changes nothing."""
    a, b, c, d = draw.sizes(4, high=99)
    _parse(my, f"param {{ lr_mult: {a} }} pad: {b}", {"param": [{"lr_mult": [a]}], "pad": [b]}, [
        Mistake("rest_after_message_lost", {"param": [{"lr_mult": [a]}]}, "after the } of a message, the fields around "
                "it go on. The brace ends one message, and not the text."),
        Mistake("fields_after_message_inside", {"param": [{"lr_mult": [a], "pad": [b]}]}, "the } ends the message: "
                "pad stands behind it, and does not belong to it"),
        Mistake("messages_flattened", {"param": [{}], "lr_mult": [a], "pad": [b]}, "lr_mult belongs to the message "
                "param: a message has a dict of its own"),
        Mistake("messages_flattened", {"lr_mult": [a], "pad": [b]}, "lr_mult belongs to the message param: a message "
                "has a dict of its own")])
    two = {"param": [{"lr_mult": [a]}, {"lr_mult": [b], "decay_mult": [c]}]}
    _parse(my, f"param {{ lr_mult: {a} }} param {{ lr_mult: {b} decay_mult: {c} }}", two, [
        Mistake("messages_merged", {"param": [{"lr_mult": [a, b], "decay_mult": [c]}]}, "these are two messages of one "
                "name, and not one: each has a dict of its own")])
    deep = {"layer": [{"p": [{"filler": [{"std": [a]}], "axis": [b]}], "top": ["x"]}], "dim": [c]}
    _parse(my, f'layer {{ p {{ filler {{ std: {a} }} axis: {b} }} top: "x" }} dim: {c}', deep)
    _parse(my, f"shape: {{ dim: {a} dim: {d} }}", {"shape": [{"dim": [a, d]}]}, [
        Mistake("colon_before_brace", {"shape": ["{"], "dim": [a, d]}, BRACE)], refused=("colon_before_brace", BRACE))
    _parse(my, "p { } q { r {} }", {"p": [{}], "q": [{"r": [{}]}]}, [
        Mistake("empty_message_lost", {"q": [{}]}, "a message without fields is there all the same: an empty dict"),
        Mistake("empty_message_lost", {}, "a message without fields is there all the same: an empty dict")])


def check_layout(my: Student, draw: Draw) -> None:
    """Blanks, line ends and comments between tokens change nothing."""
    a, b = draw.sizes(2, high=99)
    right = {"layer": [{"name": ["x"], "param": [{"lr_mult": [a]}, {"lr_mult": [b]}]}]}
    for text in (f'layer{{name:"x"param{{lr_mult:{a}}}param{{lr_mult:{b}}}}}',
                 f'layer\n{{\n\tname\n:\n"x"\n\nparam:{{ # p\nlr_mult :{a} #}}\n}} param\n# {{\n{{lr_mult:\n{b}}}}}'):
        _parse(my, text, right)


def check_errors(my: Student, draw: Draw) -> None:
    """A text with a mistake raises a ValueError that begins with the line."""
    a, b = draw.sizes(2, high=99)
    for text, line, name, hint in (
            (f"pad: {a}\nlayer {{\n dim: {b}\n", 2, "unclosed_message", "the { in line 2 has no }: the text ends "
             "within a message, and only a text that ends outside of all is whole"),
            (f"layer {{\n dim: {b} }}\n}}\npad: {a}", 3, "stray_brace", "the } in line 3 closes no message: what comes "
             "after it must not be lost in silence"),
            (f"\npad {a}", 2, "no_colon", "a value stands behind a colon: 'pad 2' is a mistake"),
            (f"layer {{\n pad:\n}} dim: {a}", 3, "no_value", "the field pad has no value: } is none"),
            (f"dim: {a}\n\npad:", 3, "no_value_at_the_end", "the text ends where the value should be"),
            (f"dim: {a}\npad", 2, "name_alone", "the text ends after a name: the field is not whole"),
            (f"dim: {a}\n: {b}", 2, "no_name", "a field begins with a name: the colon is none"),
            (f"dim: {a}\n{{ pad: {b} }}", 2, "message_without_name", "a field begins with a name, and a message has "
             "one, too"),
            (f'dim: {a}\n"pad": {b}', 2, "string_as_name", "a name has no quotes"),
            (f"dim: {a}\ntop: 'x\nbottom: 'y'", 2, "string_without_end", "the string has no second quote in its line"),
            (f'dim: {a}\ntop: "x\nbottom: "y"', 2, "string_without_end", "the string has no second quote in its line. "
             "Where it goes on to the next quote, it swallows the fields between.")):
        called = f"parse({text!r})"
        try:
            got = my.prototxt.parse(text)
        except ValueError as error:
            words = str(error)
        except IndexError as error:
            raise Wrong(called, f"IndexError: {error}", f"ValueError: line {line}: …", "index_error", "the text ends "
                        "too early. Ask whether there is a next token before you take it.") from None
        else:
            raise Wrong(called, _short(got), f"ValueError: line {line}: …", name, hint)
        expect(words.startswith("line "), called, f"ValueError: {words}", f"ValueError: line {line}: …",
               "error_without_line", "say where the mistake is: the text of the error begins with 'line N: '")
        expect(words.startswith(f"line {line}:"), called, f"ValueError: {words}", f"ValueError: line {line}: …",
               name if name == "string_without_end" else "error_in_another_line", hint if name == "string_without_end"
               else "N is the line of the first token that does not fit. Where the text ends too early, it is that of "
               "what is not finished: of the open brace, or of the last token.")


def check_one(my: Student, draw: Draw) -> None:
    """The value of a field that stands once, or the default; several values are a mistake."""
    a, b, c = draw.sizes(3, high=99)
    fields: dict[str, Any] = {"pad": [a], "dim": [a, b], "bias_term": [False], "stride": [0]}
    copy = {name: list(values) for name, values in fields.items()}
    _match(f"one({fields}, 'pad', {c})", my.prototxt.one(fields, "pad", c), a, [
        Mistake("list_for_value", [a], "one returns the value, not the list"),
        Mistake("always_default", c, "the field is there, so its value counts")])
    _match(f"one({fields}, 'group', {c})", my.prototxt.one(fields, "group", c), c, [
        Mistake("list_for_value", [c], "one returns the default itself"),
        Mistake("default_lost", None, "return the default where there is no such field")])
    _match(f"one({fields}, 'group')", my.prototxt.one(fields, "group"), None, [])
    for name, right in (("bias_term", False), ("stride", 0)):
        _match(f"one({fields}, {name!r}, {c})", my.prototxt.one(fields, name, c), right, [
            Mistake("false_is_missing", c, f"the value is {right}, and it is given: `or` takes the default for every "
                    "value that counts as false")])
    called = f"one({fields}, 'dim')"
    try:
        got = my.prototxt.one(fields, "dim")
    except ValueError as error:
        expect("dim" in str(error), called, f"ValueError: {error}", "a ValueError that names dim", "error_without_name",
               "say which field it is")
    else:
        raise Wrong(called, got, "a ValueError that names dim", "several_values", "the text has this field twice, and "
                    "only its author knows which was meant: raise an error, and choose none")
    expect(fields == copy, "one(fields, …) → fields", fields, copy, "fields_changed", "one only reads the fields")


def check_as_minicaffe_reads_it(my: Student, draw: Draw) -> None:
    """A net with all of this is read as minicaffe reads it."""
    right = _tree(proto_text.parse(LENET, NetParameter()))
    _match("parse(a net like LeNet)", _as_floats(my.prototxt.parse(LENET)), right, _mistakes_of_any(right))


def _tree(message: Any) -> dict[str, list[Any]]:
    """Return a message of minicaffe's as a dict of lists; numbers as floats, enums as words."""
    tree = {}
    for field, value in message.ListFields():
        values = list(value) if is_repeated(field) else [value]
        if field.enum_type:
            values = [field.enum_type.values_by_number[number].name for number in values]
        tree[field.name] = [_tree(v) if field.message_type else v for v in values]
    return {name: [float(v) if type(v) is int else v for v in values] for name, values in tree.items()}


def _as_floats(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _as_floats(values) for name, values in tree.items()}
    if isinstance(tree, list):
        return [_as_floats(v) for v in tree]
    return float(tree) if type(tree) is int else tree
