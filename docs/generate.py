"""Write the pages of docs/ that follow from the code (`make docs`).

    layers.md      the layers' own datasheets
    layers.html    the same with a drawing of each type, from gallery/; a type without a drawing is an error
    lint.md        the rules of lint
    loss.html      one loss in five versions, from loss_page/
    leaving.md     its tables alone: what each layer type becomes in another format; leaving_torch.md alike
    entering.md    its tables alone: what each operator of ONNX becomes

It also brings the labels 'Computed' of the datasheets up to date, which follow from the code.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # where the two packages lie

from gallery import DrawingError, layers_page
from loss_page import build as loss_page

from minicaffe import lint
from minicaffe.convert import onnx_package
from minicaffe.convert.onnx_in import net as _onnx_readers  # noqa: F401 - registers them
from minicaffe.convert.onnx_in.given import READERS as ONNX_READERS
from minicaffe.convert.onnx_out import model as _onnx_writers  # noqa: F401 - registers them
from minicaffe.convert.onnx_out.given import WRITERS as ONNX_WRITERS
from minicaffe.convert.torch_out import module as _torch_writers  # noqa: F401 - registers them
from minicaffe.convert.torch_out.given import WRITERS as TORCH_WRITERS
from minicaffe.layer import layer_class, registered_types
from minicaffe.layers import datasheet as layers
from minicaffe.layers import worked_example

TARGET = Path(__file__).resolve().parent / "layers.md"
HEAD = """\
# Layers

<!-- docs/generate.py writes this page (`make docs`); edit the datasheets in minicaffe/layers/ and the samples in
minicaffe/layers/samples.prototxt instead. -->

Every layer type: what it computes, the fields of its parameters, a sample that runs, the maths as code, and an example
with numbers. `minicaffe layers NAME` and `minicaffe explain NAME` print the same. [layers.html](layers.html), opened in
a browser, has a drawing of each type besides.

In the formulas, x goes in, y comes out, and dx is the gradient of the loss with respect to x. `=` overwrites and `+=`
adds: a gradient of weights is added to what earlier passes left, until the solver has used it.
"""


DRAWN_TARGET = TARGET.with_name("layers.html")
LINT_TARGET = TARGET.with_name("lint.md")
LINT_HEAD = """\
# Lint

<!-- docs/generate.py writes this page (`make docs`); edit the docstrings of the rules in minicaffe/lint/ instead. -->

`minicaffe lint FILES` examines nets, solvers and data before a training. This page has every rule; `minicaffe lint
--explain RULE` prints the same, and `--silence RULE` leaves a rule out.

An error can only be a mistake, and the exit status is 1 where there is one. A warning probably is a mistake. A note is
about what cannot be decided from the files alone. `minicaffe train` applies the rules about made nets too, and ends
before its first iteration where one of them finds an error.

A net can be examined without its data. The rules about data read the first 1,000 samples of each source that is there
(`--samples N`), and the output says how many. Two nets are compared where it is clear that they belong together: the
train net and the test nets of a solver or of a file, and a deploy net with the one train net that is given, or with
the one of the same `name`.
"""


def generate_lint() -> str:
    """Return the page about the rules, one section for each kind of subject."""
    parts = [LINT_HEAD]
    for kind, title in LINT_KINDS.items():
        parts.append(f"## {title}\n")
        for name in sorted(lint.rules(kind)):
            text = lint.explanation(name)
            parts += [f"### {name}\n", f"{text.summary} {text.why}".strip() + "\n", "Example:\n",
                      f"```text\n{text.example}\n```\n", f"Cure: {text.cure}\n"]
    return "\n".join(parts)


LINT_KINDS = {lint.FILE: "Files", lint.DEFINITION: "One net", lint.NET: "Made nets, also checked by `minicaffe train`",
              lint.SOLVER: "Solvers", lint.PAIR: "Two nets that belong together"}


LEAVING_TARGET, TORCH_TARGET = TARGET.with_name("leaving.md"), TARGET.with_name("leaving_torch.md")
REPLACED = ("data", "loss")  # families whose types become inputs, or are replaced before a net leaves


def with_tables(page: str, writers: Mapping[str, Callable[..., None]], other: str) -> str:
    """Return a page about nets that leave, with tables that say what the writers' docstrings say.

    other   where they go, such as ONNX
    """
    tables, without = [], []
    for family, types in layers.families().items():
        rows: dict[str, list[str]] = {}  # what types become -> these types
        for name in types:
            if name in writers:
                rows.setdefault(first_paragraph(writers[name]), []).append(name)
            elif family not in REPLACED:
                without.append(name)
        lines = [f"| {', '.join(names)} | {_cell(what)} |" for what, names in rows.items()]
        if lines:
            tables += [f"### {family.capitalize()} layers\n", f"| type | in {other} |\n|---|---|", *lines, ""]
    if without:
        tables += [f"Without a form in {other}: {', '.join(without)}.\n"]
    return _between_marks(page, "\n".join(tables))


ENTERING_TARGET = TARGET.with_name("entering.md")


def with_operators(page: str) -> str:
    """Return the page about models that enter, with tables that say what the readers' docstrings say."""
    families: dict[str, dict[str, list[str]]] = {}  # the file of the readers -> what operators become -> these
    operators = {schema.name for schema in onnx_package.onnx().defs.get_all_schemas()}
    joined = []  # what several nodes become together, which no operator of ONNX says alone
    for op in sorted(ONNX_READERS):
        family, what = ONNX_READERS[op].__module__.rsplit(".", 1)[-1], first_paragraph(ONNX_READERS[op])
        if op in operators:
            families.setdefault(family, {}).setdefault(what, []).append(op)
        else:
            joined.append(f"- {what}")
    tables = []
    for family in sorted(families):
        lines = [f"| {', '.join(ops)} | {_cell(what)} |" for what, ops in families[family].items()]
        tables += [f"### {family.capitalize()}\n", "| operator | in Caffe |\n|---|---|", *lines, ""]
    tables += ["### Several nodes that together are one layer\n", *dict.fromkeys(joined), ""]
    return _between_marks(page, "\n".join(tables))


def _between_marks(page: str, written: str) -> str:
    """Return a page with its generated part written anew."""
    return re.sub(r"(make docs`.*?-->\n).*(<!-- end -->)", lambda found: f"{found[1]}\n{written}\n{found[2]}", page,
                  flags=re.DOTALL)


def first_paragraph(function: Callable[..., None]) -> str:
    """Return the first paragraph of a docstring as one line."""
    return " ".join((function.__doc__ or "").split("\n\n")[0].split())


def generate() -> str:
    """Return the whole page."""
    parts = [HEAD, _contents()]
    for family, types in layers.families().items():
        parts.append(f"## {family.capitalize()} layers\n")
        parts += [_section(family, name) for name in types]
    return "\n".join(parts)


def _contents() -> str:
    lines = []
    for family, types in layers.families().items():
        lines += [f"**[{family.capitalize()}](#{family}-layers)**\n"]
        lines += [f"- [{name}](#{layers.anchor(name)}): {layers.summary(name)}" for name in types] + [""]
    return "\n".join(lines)


def _section(family: str, name: str) -> str:
    source = Path(layers.source_file(name))
    parts = [f"### {name}\n", f"[{source.name}](../minicaffe/layers/{family}/{source.name})\n",
             f"```text\n{layers.datasheet(name)}\n```\n"]
    for message, rows in layers.fields(name).items():
        parts += [f"| {message} | type | default | |", "|---|---|---|---|"]
        parts += [f"| `{row.name}` | {_cell(row.type)} | {_cell(row.default)} | {_cell(row.comment)} |" for row in rows]
        parts.append("")
    parts += [f"```protobuf\n{layers.sample(name)}\n```\n"]
    # The code of layers that call kernels is left out, and so is that of their bases: the label Computed names the
    # files, and this page is long.
    own = [source for source in layers.own_code(name) if source.path == layers.own_path(name)]
    if code := layers.definitions(name) or own:
        parts += ["The maths as code:\n", "```python", "\n\n".join(_code(source) for source in code), "```\n"]
    return "\n".join([*parts, *_example(name)])


def _code(source: layers.Source) -> str:
    """Return the text of a function below its place."""
    return f"# {source.path}\n{source.text}"


def _example(name: str) -> list[str]:
    example = worked_example.worked_example(name)
    if example is None or not example.prototxt:
        return [f"{example.words}\n"] if example else []
    return [f"An example. {example.words}\n", f"```protobuf\n{example.prototxt}\n```\n",
            "\n".join(["```text", *worked_example.as_text(example), "```\n"])]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def with_computed(sheet: str, label: str) -> str:
    """Return a class's docstring, margin included, with this label 'Computed' in place of its own."""
    without = re.sub(r"^    Computed  .*\n(?: {14}.*\n)*", "", sheet, flags=re.MULTILINE)
    if not label:
        return without
    lines = "".join(f"    {line}\n" for line in label.split("\n"))
    return re.sub(r"\n(?=\n    (?:Bottom|Top)  )", lambda _: f"\n{lines}", without, count=1)


def write_labels() -> list[str]:
    """Bring every label 'Computed' up to date in the layers' files; the types whose label was another."""
    changed = []
    for name in registered_types():
        sheet, file = layer_class(name).__doc__ or "", Path(layers.source_file(name))
        # Python 3.13 takes the margin away, so the docstring is looked for in the file, where it has one
        text = file.read_text(encoding="utf-8")
        written = re.search(rf"^class {layer_class(name).__name__}\(.*?\n    \"\"\"\n", text, re.DOTALL | re.MULTILINE)
        if sheet and written and (new := with_computed(written[0], layers.computed(name))) != written[0]:
            file.write_text(text.replace(written[0], new), encoding="utf-8")
            changed.append(name)
    return changed


if __name__ == "__main__":
    if corrected := write_labels():
        print(f"corrected the label Computed of {', '.join(corrected)}")
        raise SystemExit(subprocess.call([sys.executable, __file__]))  # this process has the old datasheets
    try:
        drawn = layers_page.generate()
    except DrawingError as error:
        raise SystemExit(f"error: {error}") from None
    for target, text in ((TARGET, generate()), (DRAWN_TARGET, drawn), (LINT_TARGET, generate_lint()),
                         (loss_page.TARGET, loss_page.build()),
                         (LEAVING_TARGET, with_tables(LEAVING_TARGET.read_text(encoding="utf-8"), ONNX_WRITERS,
                                                      "ONNX")),
                         (TORCH_TARGET, with_tables(TORCH_TARGET.read_text(encoding="utf-8"), TORCH_WRITERS,
                                                    "PyTorch")),
                         (ENTERING_TARGET, with_operators(ENTERING_TARGET.read_text(encoding="utf-8")))):
        target.write_text(text, encoding="utf-8")
        print(f"wrote {target}")
