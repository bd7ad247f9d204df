"""Generated pages and data against their sources."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from extras import needs

from minicaffe.layer import registered_types

ROOT = Path(__file__).parent.parent


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
    assert set(registered_types()) == set(re.findall(r"^- \[(\w+)\]\(#\w+\): ", page, re.MULTILINE))


def test_field_comments_are_those_of_the_proto_file():
    """The comments in the package are what `make proto` takes from protos/caffe.proto."""
    needs("grpc_tools")
    code = "import compile, sys; sys.stdout.buffer.write(compile.compile_comments().encode())"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT / "protos").stdout

    assert made == (ROOT / "minicaffe" / "proto" / "field_comments.json").read_bytes()


def test_pages_on_the_maths_exist():
    """Each `Derived` of a datasheet names a heading that exists."""
    from minicaffe.layer import layer_class

    missing = []
    for name in registered_types():
        for file, anchor in re.findall(r"(docs/maths/\w+\.md)#([\w-]+)", layer_class(name).__doc__):
            path = ROOT / file
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE) if path.exists() else []
            if anchor not in {re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings}:
                missing.append(f"{name}: {file}#{anchor}")

    assert [] == missing
