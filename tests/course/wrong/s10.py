"""Mistakes of step 10, a prototxt parser."""

from course_tools import Variant

FILE = "my_caffe/prototxt.py"
STRING = r'''"(?:[^"\\\n]|\\.)*"'''
SINGLE = r"""'(?:[^'\\\n]|\\.)*'"""
ESCAPED = r'return re.sub(r"\\(.)", lambda match: ESCAPES.get(match[1], match[1]), word[1:-1])'
APPEND = "fields.setdefault(name.text, []).append(content)"
WRONG = [
    Variant("a word goes over the colon", FILE, r"""[^\s:{}"'\#]+)""", r"""[^\s{}"'\#]+)""", "colon_in_word"),
    Variant("lines from 0", FILE, "found, at, line = [], 0, 1", "found, at, line = [], 0, 0", "lines_from_zero"),
    Variant("several line ends count as one", FILE, 'line += piece[0].count("\\n")', 'line += "\\n" in piece[0]',
            "empty_lines_not_counted"),
    Variant("lines are not counted", FILE, 'line += piece[0].count("\\n")', "pass", "lines_not_counted"),
    Variant("a comment takes the rest of the text", FILE, r"\#[^\n]*", r"\#(?s:.*)", "rest_of_text_lost"),
    Variant("a # within a word", FILE, r"""[^\s:{}"'\#]+)""", r"""[^\s:{}"']+)""", "comment_after_value"),
    Variant("comments are dropped before the strings", FILE, "    found, at, line = [], 0, 1", '    text = '
            're.sub("#[^\\n]*", "", text)\n    found, at, line = [], 0, 1', "comment_in_string"),
    Variant("a quote after a backslash ends the string", FILE, STRING, r'''"[^"\n]*"''', "escaped_quote"),
    Variant("a backslash before the last quote", FILE, STRING, r'''"(?:\\"|[^"\n])*"''', "escaped_backslash"),
    Variant("no single quotes", FILE, f" | {SINGLE}", "", "single_quotes"),
    Variant("no empty string", FILE, STRING, STRING.replace("*", "+"), "empty_string_lost"),
    Variant("tokens without quotes", FILE, 'Token(piece["token"], line)', 'Token(piece["token"].strip("\\"\'"), line)',
            "quotes_dropped"),
    Variant("bool of a word", FILE, 'return word == "true"', "return bool(word)", "false_is_true"),
    Variant("true stays a word", FILE, '    if word in ("true", "false"):', '    if word in ("True", "False"):',
            "word_kept"),
    Variant("True for true", FILE, 'return word == "true"', 'return word == "True"', "true_is_false"),
    Variant("the last quote stays", FILE, ESCAPED, ESCAPED.replace("[1:-1]", "[1:]"), "one_quote_kept"),
    Variant("every number is a float", FILE, "for kind in (int, float):", "for kind in (float,):", "number_kind"),
    Variant("quotes are taken off first", FILE, ESCAPED, ESCAPED.replace("return", "word ="), "quoted_number"),
    Variant("backslashes stay", FILE, ESCAPED, "return word[1:-1]", "escapes_kept"),
    Variant("one replace after the other", FILE, ESCAPED, r"""return word[1:-1].replace("\\\\", "\\").replace(
            '\\"', '"').replace("\\n", "\n").replace("\\t", "\t")""", "backslash_twice"),
    Variant("the last value wins", FILE, APPEND, "fields[name.text] = [content]", "last_value_wins"),
    Variant("a list for several values alone", FILE, APPEND, """\
fields[name.text] = content if name.text not in fields else [
            *(fields[name.text] if isinstance(fields[name.text], list) else [fields[name.text]]), content]""",
            "single_value_without_list"),
    Variant("values are lost", FILE, APPEND, "fields.get(name.text, []).append(content)", "nothing_kept"),
    Variant("tokens for values", FILE, "content = value(sign.text)", "content = sign.text", "values_not_read"),
    Variant("one dict for all messages", FILE, '''opening):
    """Read fields from token `at` on, to the end of the message whose brace is `opening`, or of the text."""
    fields = {}
''', '''opening, fields={}):  # noqa: B006
''', "one_dict_for_all"),
    Variant("messages of one name are one", FILE, "            content, at = read(all_tokens, at, sign)\n", """\
            content, at = read(all_tokens, at, sign)
            if name.text in fields:
                for key, values in content.items():
                    fields[name.text][0].setdefault(key, []).extend(values)
                continue
""", "messages_merged"),
    Variant("a brace behind a colon is a value", FILE, 'if sign.text == "{":', 'if sign.text == "{" and '
            'all_tokens[at - 2].text != ":":', "colon_before_brace"),
    Variant("an open message is whole", FILE, "    if opening is not None:\n        raise", "    if False:\n        "
            "raise", "unclosed_message"),
    Variant("any brace ends all", FILE, 'if name.text == "}" and opening is not None:', 'if name.text == "}":',
            "stray_brace"),
    Variant("no colon is needed", FILE, 'if sign.text not in (":", "{"):', "if False:", "no_colon"),
    Variant("the next token is taken unseen", FILE, "    if at == len(all_tokens):", "    if False:", "index_error"),
    Variant("an error without its line", FILE, 'f"line {opening.line}: this', '"this', "error_without_line"),
    Variant("the line of the name for all errors", FILE, 'ValueError(f"line {sign.line}: {name.text} has no',
            'ValueError(f"line {name.line}: {name.text} has no', "error_in_another_line"),
    Variant("a string over several lines", FILE, STRING, STRING.replace(r"\n", ""), "string_without_end"),
    Variant("a string in single quotes over several lines", FILE, SINGLE, SINGLE.replace(r"\n", ""),
            "string_without_end"),
    Variant("a string as a name", FILE, r'r"[A-Za-z_]\w*"', r'''r"[\"A-Za-z_][\w\"]*"''', "string_as_name"),
    Variant("one gives the list", FILE, "return values[0]", "return values", "list_for_value"),
    Variant("or for the default", FILE, "return values[0]", "return values[0] or default", "false_is_missing"),
    Variant("the first of several", FILE, "if len(values) > 1:", "if not values:", "several_values"),
]
