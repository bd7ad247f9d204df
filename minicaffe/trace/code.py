"""The source of a function as a trace sees it: its statements, its loops and what each statement writes."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType

PACKAGE = Path(__file__).parents[1]
EQUATION = re.compile(r"([A-Za-z∂][\w′/∂]*(?:_\{[^}]*\})?)(?:\[[^\]]*\])?[ ]*(?:\+=|←|−=|=(?!=))")


@dataclass(eq=False)
class Statement:
    """One statement, or the head of an `if`, a loop or a `with`.

    line, end   its first and last line in the file
    text        its source, with the comment at its end
    targets     names that it assigns to, or whose arrays it writes: "y" for y, y[...] and out=y
    names       all names in it
    comment     what stands after # in its lines
    computes    whether it computes or writes into an array, rather than only fetch one under a name
    has_call    whether it calls a function whose work shows in arrays alone: it is only a call, or calls one by its
                name. A method in an assignment, as in `dw = self._weights(dw)`, gives another view of an array
    loop        the last line of the loop, where this is the head of one; else 0
    """

    line: int
    end: int
    text: str = ""
    targets: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    comment: str = ""
    computes: bool = False
    has_call: bool = False
    loop: int = 0


@dataclass(eq=False)
class Function:
    """A function of which lines are traced.

    name        "InnerProductLayer.forward" or "kernels.matmul"
    path        its file, seen from the repository
    first       the line of its `def`
    lines       its source without decorators and common indentation
    statements  line -> the Statement that it belongs to
    trivial     whether it only returns an expression, perhaps after one assignment. Such a function is not stepped
                into, because the line of the caller shows the result
    """

    name: str
    path: str
    first: int
    lines: list[str]
    statements: dict[int, Statement] = field(default_factory=dict)
    trivial: bool = False


@functools.cache
def function_of(code: CodeType) -> Function | None:
    """Return the function that a code object belongs to; None where its source cannot be read."""
    try:
        lines, start = inspect.getsourcelines(code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return None
    node = tree.body[0]
    if not isinstance(node, ast.FunctionDef):
        return None
    ast.increment_lineno(tree, start - 1)
    kept = textwrap.dedent("".join(lines)).rstrip().split("\n")[node.lineno - start:]
    made = Function(_name(code), _path(code.co_filename), node.lineno, kept)
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    made.trivial = not body or (len(body) <= 2 and isinstance(body[-1], (ast.Return, ast.Pass)) and all(
        isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name) for part in body[:-1]))
    _collect(node.body, made)
    return made


def _name(code: CodeType) -> str:
    if Path(code.co_filename).is_relative_to(PACKAGE / "kernels" / "definitions"):
        return f"kernels.{code.co_name}"
    return code.co_qualname if hasattr(code, "co_qualname") else code.co_name


def _path(file: str) -> str:
    path = Path(file)
    return (Path("minicaffe") / path.relative_to(PACKAGE)).as_posix() if path.is_relative_to(PACKAGE) else path.name


def _collect(body: list[ast.stmt], function: Function) -> None:
    """Add the statements of a body to a function, and those inside them."""
    for node in body:
        inner = [part for name in ("body", "orelse", "finalbody") for part in getattr(node, name, [])]
        for handler in getattr(node, "handlers", []):
            inner += handler.body
        end = max(node.lineno, inner[0].lineno - 1) if inner else node.end_lineno or node.lineno
        loop = (node.end_lineno or 0) if isinstance(node, (ast.For, ast.While)) else 0
        made = _statement(node, end, function, loop)
        for line in range(node.lineno, end + 1):
            function.statements[line] = made
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            _collect(inner, function)


def _statement(node: ast.stmt, end: int, function: Function, loop: int) -> Statement:
    lines = function.lines[node.lineno - function.first:end - function.first + 1]
    parts = [re.split(r"(?<=\s)#\s?", line, maxsplit=1) for line in lines]
    comment = " ".join(part[1].strip() for part in parts if len(part) > 1)
    head = _head(node)
    names = frozenset(n.id for part in head for n in ast.walk(part) if isinstance(n, ast.Name)) \
        | frozenset(n.attr for part in head for n in ast.walk(part) if isinstance(n, ast.Attribute))
    return Statement(node.lineno, end, "\n".join(part[0].rstrip() for part in parts), tuple(_targets(node)), names,
                     comment, _writes(node) or any(_computes(part) for part in head),
                     isinstance(node, ast.Expr) or any(isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
                                                       for part in head for n in ast.walk(part)), loop)


def _head(node: ast.stmt) -> list[ast.AST]:
    """Return the parts of a statement that belong to itself: of a loop or an `if`, not its body."""
    parts = [getattr(node, name, None) for name in ("test", "target", "iter")]
    if isinstance(node, (ast.If, ast.While, ast.For)):
        return [part for part in parts if part is not None]
    if isinstance(node, ast.With):
        return list(node.items)
    return [node]


def _writes(node: ast.stmt) -> bool:
    """Return whether a statement writes into an array that is there: y[...] = x, y.fill(0), x.sum(out=y)."""
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Subscript) for target in node.targets)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and bool(_targets(node))


def _targets(node: ast.stmt) -> list[str]:
    """Return the names that a statement writes by itself: its targets, and out= of a call."""
    if isinstance(node, ast.Assign):
        written: list[ast.expr] = list(node.targets)
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign, ast.For)):
        written = [node.target]
    else:
        written = []
    if isinstance(node, (ast.Assign, ast.Expr)) and isinstance(node.value, ast.Call):
        written += [word.value for word in node.value.keywords if word.arg == "out"]
        call = node.value
        if isinstance(call.func, ast.Attribute) and call.func.attr == "copyto" and call.args:
            written.append(call.args[0])
        if isinstance(call.func, ast.Attribute) and call.func.attr == "fill":
            written.append(call.func.value)
        if isinstance(node, ast.Expr) and ast.unparse(call.func).startswith("kernels.") and call.args \
                and all(word.arg == "add" for word in call.keywords):
            last: ast.expr = call.args[-1]  # what a kernel writes stands last, perhaps seen in another shape
            while isinstance(last, ast.Call) and last.args:
                last = last.args[0]
            written.append(last)
    return [name for target in written for name in _base_names(target)]


def _base_names(target: ast.expr) -> list[str]:
    if isinstance(target, (ast.Tuple, ast.List)):
        return [name for part in target.elts for name in _base_names(part)]
    if isinstance(target, (ast.Subscript, ast.Starred)):
        return _base_names(target.value)
    if isinstance(target, ast.Name):
        return [target.id]
    return [ast.unparse(target)]  # self.z


def _computes(node: ast.AST) -> bool:
    """Return whether there is arithmetic, or a call of numpy or of a kernel, in a statement, but for its indices."""
    if isinstance(node, ast.Subscript):
        return _computes(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        return False  # a negative number, as in reshape(-1)
    if isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Compare, ast.AugAssign)):
        return True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) \
            and node.func.value.id in ("np", "kernels", "math"):
        return True
    return any(_computes(part) for part in ast.iter_child_nodes(node))


def equations(line: str) -> list[tuple[str, str]]:
    """Return (left side, right side) of each equation in a formula, or in a comment that holds one."""
    line = "\n".join(re.split(r"   +(?:over|with|along|where)\b", part)[0] for part in line.split("\n"))
    found = list(EQUATION.finditer(line))
    made: list[tuple[str, str]] = []
    end, right = len(line), ""
    for match in reversed(found):
        right = line[match.end():end].strip(" ,;") or right  # in y = h = o · c, the right side of y is that of h
        end = match.start()
        made.insert(0, (plain(match[1]), right))
    return made


def plain(name: str) -> str:
    """Return a name without its index of time: z_t, c_{t−1} and c_prev are z and c, and v′ is v."""
    return re.sub(r"(_\{[^}]*\}|_[tT]|_prev|′)$", "", name).replace("self.", "")
