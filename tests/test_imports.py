"""The import rules of ARCHITECTURE.md, read from the source."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "minicaffe"
OPTIONAL = {"numba", "threadpoolctl", "lmdb", "h5py", "cv2", "rich", "matplotlib", "cupy", "plyvel", "cramjam",
            "IPython", "mpi4py", "onnx", "onnxruntime", "torch"}
ALL = {"errors", "rng", "log", "system", "plugins", "layout", "showing", "python2",  # what every part may import
       "removed_names"}
MAY_IMPORT = {  # what a part may import besides itself and these
    "proto": set(),
    "io": {"proto"},
    "kernels": set(),
    "passes": {"proto"},
    "blob": {"io", "proto"},
    "filler": {"proto"},
    "layer": {"io", "proto", "blob", "filler"},
    "data": {"io", "proto"},
    "layers": {"layer", "blob", "filler", "kernels", "proto", "io"},
    "net": {"passes", "layer", "layers", "blob", "io", "proto", "kernels"},
    "analysis": {"net", "layer", "blob", "proto", "kernels", "passes", "data"},
    "solvers": {"net", "layer", "io", "proto", "kernels", "blob", "data"},
    "lint": {"net", "solvers", "layer", "passes", "proto", "analysis", "io"},
    "records": {"solvers", "net", "layer", "data", "io", "proto", "kernels"},
    "ranks": {"solvers", "net", "layer", "kernels"},
    "testing": {"net", "layer", "blob", "proto", "kernels"},
    "pages": set(),
    "drawing": {"net", "layer", "layers", "proto", "analysis", "passes", "pages"},
    "trace": {"net", "solvers", "layer", "layers", "blob", "kernels", "proto", "io", "testing", "pages", "drawing"},
    "notebook": {"net", "solvers", "layer", "layers", "blob", "proto", "passes", "pages", "drawing"},
    "convert": {"net", "layer", "layers", "blob", "proto", "io", "passes", "testing"},
    "course": {"net", "solvers", "layer", "layers", "blob", "kernels", "proto", "io"},
    "pycaffe": {"net", "solvers", "layer", "layers", "blob", "proto", "io", "data", "kernels", "passes", "analysis",
                "drawing", "records"},
}


def modules():
    return sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


NAMES = {".".join(("minicaffe", *path.with_suffix("").parts)).removesuffix(".__init__"): path for path in modules()}


@cache
def imports(path):
    """(module, line) of every import in a file, also inside functions; what serves type checkers alone is left out."""
    return list(read_imports(path))


def read_imports(path):
    """Read them from the file."""
    tree = ast.parse((PACKAGE / path).read_text())
    nodes = list(ast.walk(tree))
    typing_only = {id(n) for i in nodes if isinstance(i, ast.If) and "TYPE_CHECKING" in ast.dump(i.test)
                   for n in ast.walk(i)}
    for node in nodes:
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            assert all(alias.name != "*" for alias in node.names), f"{path}:{node.lineno} imports a star"
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                inside = name in NAMES or node.module in ("minicaffe", "minicaffe.layers")
                yield name if inside else node.module, node.lineno


def import_graph():
    """The name of each module with the modules of the package that it imports, also inside functions."""
    return {name: {module for module, _ in imports(path) if module in NAMES} for name, path in NAMES.items()}


def cycle_in(graph):
    """The first cycle of a graph as a list that ends where it begins; [] where there is none."""
    done = set()

    def search(node, path):
        if node in path:
            return [*path[path.index(node):], node]
        if node in done:
            return []
        for successor in sorted(graph[node]):
            if found := search(successor, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := search(node, []))), [])


def part_of(module):
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", modules(), ids=str)
def test_imports_go_downward(path):
    """No module imports a part that stands above its own."""
    part = path.parts[0].removesuffix(".py")
    if part not in MAY_IMPORT:  # cli and the package itself may import everything; what all may import, nothing
        allowed = {part_of(m) for m, _ in imports(path)} if part in ("cli", "__init__", "__main__") else set()
    else:
        allowed = MAY_IMPORT[part] | {part}
    allowed |= ALL
    if path.parts[:2] == ("layers", "data"):
        allowed |= {"data"}
    found = [(m, line) for m, line in imports(path) if m.startswith("minicaffe.")
             and part_of(m) not in allowed and m != "minicaffe.__version__"]

    assert [] == found


def test_no_imports_go_in_a_circle():
    """No module imports itself through others, not even where an import stands in a function."""
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]  # the search finds one
    assert [] == cycle_in(import_graph())


@pytest.mark.parametrize("path", [p for p in modules() if p.parts[0] == "layers"], ids=str)
def test_layers_know_no_engine_and_no_other_family(path):
    """A layer imports no thread, no engine and no other family."""
    names = {m.split(".")[0] for m, _ in imports(path)}
    families = {m.split(".")[2] for m, _ in imports(path) if m.startswith("minicaffe.layers.") and m.count(".") > 2}

    assert set() == names & (OPTIONAL | {"threading", "concurrent", "multiprocessing"})
    assert families <= {path.parts[1]}


def test_each_optional_package_is_imported_in_one_module():
    """An optional package has one module that imports it, where its error can name the extra to install."""
    importers = {}
    for path in modules():
        for module, _ in imports(path):
            if module.split(".")[0] in OPTIONAL and path.parts[:2] != ("kernels", "numba_engine"):
                importers.setdefault(module.split(".")[0], set()).add(str(path))

    assert {} == {package: files for package, files in importers.items() if len(files) > 1}


def test_what_a_training_does_not_load():
    """Whoever makes nets and solvers does not wait for the parts that draw and explain, nor for IPython."""
    code = "import sys; from minicaffe import Net; from minicaffe.solvers import get_solver; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    parts = {part_of(module) for module in loaded if module.startswith("minicaffe.")}

    assert {"net", "solvers", "showing"} <= parts
    assert set() == parts & {"pages", "drawing", "trace", "notebook", "testing", "analysis", "lint", "cli"}
    assert set() == set(loaded) & {"IPython", "matplotlib", "cv2", "numba", "rich"}
