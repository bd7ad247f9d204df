"""Generated pages and data against their sources."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from extras import needs
from test_imports import MAY_IMPORT

from minicaffe.layer import registered_types
from minicaffe.proto import pool

ROOT = Path(__file__).parent.parent
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PATH = r"(?<![\w./-])[\w./-]*\w(?:\.(?:pyi?|md|prototxt|proto|desc|json)\b|/(?=[\s,;)`]|$))"


def generator():
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_layers_page_is_what_the_datasheets_say():
    """The file docs/layers.md is not stale; `make docs` writes it anew."""
    made = generator()

    assert made.generate() == made.TARGET.read_text(encoding="utf-8")


def test_layers_page_has_every_type():
    """Each type has its section and its line in the contents."""
    page = (ROOT / "docs" / "layers.md").read_text(encoding="utf-8")

    assert registered_types() == sorted(re.findall(r"^### (\w+)$", page, re.MULTILINE))
    assert set(registered_types()) == set(re.findall(r"^- \[(\w+)\]\(#[\w-]+\): ", page, re.MULTILINE))


def test_tables_of_leaving_are_what_the_docstrings_say():
    """The tables in docs/leaving.md and leaving_torch.md are not stale; `make docs` writes them anew."""
    made = generator()
    onnx, torch = (target.read_text(encoding="utf-8") for target in (made.LEAVING_TARGET, made.TORCH_TARGET))

    assert made.with_tables(onnx, made.ONNX_WRITERS, "ONNX") == onnx
    assert made.with_tables(torch, made.TORCH_WRITERS, "PyTorch") == torch
    assert "| ReLU | Relu, or LeakyRelu with a negative_slope. |\n" in onnx
    assert "| ReLU | `F.relu`, or `F.leaky_relu` with a negative_slope. |\n" in torch


def test_each_writer_says_what_its_layer_becomes():
    """The first paragraph of its docstring is a row of docs/leaving.md or leaving_torch.md."""
    made = generator()

    assert [] == [name for name, function in (*made.ONNX_WRITERS.items(), *made.TORCH_WRITERS.items())
                  if not made.first_paragraph(function).endswith((".", ")."))]


def test_field_comments_are_those_of_the_proto_file():
    """The comments in the package are what `make proto` takes from protos/caffe.proto."""
    needs("grpc_tools")
    code = "import compile, sys; sys.stdout.buffer.write(compile.compile_comments().encode())"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT / "protos").stdout

    assert made == (ROOT / "minicaffe" / "proto" / "field_comments.json").read_bytes()


def test_pages_on_the_maths_exist():
    """Each heading of docs/maths that a file of the package names is there."""
    missing, found = [], 0
    for source in (ROOT / "minicaffe").rglob("*.py"):
        for file, anchor in re.findall(r"(docs/maths/\w+\.md)(?:#([\w-]+))?", source.read_text(encoding="utf-8")):
            found += 1
            path = ROOT / file
            page = path.read_text(encoding="utf-8") if path.exists() else ""
            headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
            anchors = {"", *re.findall(r'<a id="([\w-]+)">', page),
                       *(re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings)}
            if not path.exists() or anchor not in anchors:
                missing.append(f"{source.name}: {file}#{anchor}")

    assert [] == missing
    assert found > 30


# --- ARCHITECTURE.md ----------------------------------------------------------------------------------------------

def mapped():
    """(as written, the path that is meant, whether the line begins with it) of each path in the map.

    A line's indentation says in which folder it stands; a line that begins with no path goes on with the last folder.
    """
    block = re.search(r"^## The map\n.*?^```\n(.*?)^```", ARCHITECTURE, re.MULTILINE | re.DOTALL)[1]
    parents = [ROOT]  # the folder whose content is indented by 0, 2, 4 blanks
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        head = re.match(r"\s*((?:[\w.]+(?:/|\.py)(?:\s|$))*)", line)[1].split() if depth < len(parents) else []
        if head:
            parents = [*parents[:depth + 1], parents[depth] / head[-1]] if head[-1][-1] == "/" else parents[:depth + 1]
            yield from ((name, parents[depth] / name, True) for name in head)
        for name in re.findall(PATH, line.lstrip().removeprefix(" ".join(head))):
            if not name.isupper() and "FAMILY" not in name:
                beside = parents[-1] / name
                yield name, beside if beside.exists() else ROOT / name, False


def test_the_map_names_what_exists():
    """ARCHITECTURE.md names no file and no folder that has been moved or removed."""
    missing = [name for name, path, _ in mapped() if not path.exists()]
    text = ARCHITECTURE.split("## How a prototxt")[1]
    missing += [name for name in re.findall(rf"{PATH}|`[\w/]+/\w+`", text)
                if not any((base / name.strip("`")).exists() for base in (ROOT, ROOT / "minicaffe"))]

    assert [] == missing


def test_the_map_is_complete():
    """Every module that stands directly in minicaffe/, and every folder of modules, has its place in the map."""
    package = ROOT / "minicaffe"
    there = {path.parent for path in package.rglob("__init__.py")} | set(package.glob("*.py"))

    assert set() == there - {package / "__init__.py"} - {path for _, path, begins in mapped() if begins}


def test_the_table_of_imports_is_the_one_that_is_tested():
    """ARCHITECTURE.md and test_imports.py say the same of what a part may import."""
    rows = re.findall(r"^\| (\w+) \| ?([\w, ]*) ?\|$", ARCHITECTURE.split("## What may import what")[1], re.MULTILINE)
    table = {part: set(filter(None, words.replace(",", " ").split())) for part, words in rows
             if part not in ("part", "engine")}

    assert table == MAY_IMPORT


def test_every_field_of_our_own_is_in_the_list_of_differences():
    """The table "Added" of docs/differences.md names, message by message, the fields with our own numbers."""
    page = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8").split("## Added")[1]
    listed, messages = set(), ""
    for cells in re.findall(r"^\| ([\w, ]*?) ?\| ([\w, ]+) \|", page, re.MULTILINE):
        messages = cells[0] or messages
        listed |= {(message, field) for message in messages.split(", ") for field in cells[1].split(", ")}
    ours = {(message.name, field.name) for message in pool.FindFileByName("caffe.proto").message_types_by_name.values()
            for field in message.fields if 5700 <= field.number < 5800}

    assert ours == listed - {("message", "field")}
