"""Follow a page of docs/maths as a student does: its numbers are computed by its formulas, by the layers, and proved.

A page's code blocks are taken in order. All of a page's Python shares its names.

    ```prototxt          one or more layers, the net of the ```python blocks below it
    ```prototxt NAME     is written into the file NAME, which ```python blocks may read
    ```python            is run. A comment behind a statement that is a value, `# [[1, 2]]`, is what the statement
                         must give, rounded if it has four decimals or more; an error, `# ValueError`, must be raised
    ```python            that begins with `# minicaffe/FILE.py` is a part of that file; a line `...` leaves lines out

Besides, what a block assigns is compared with two more witnesses:

The layers: the net above gets the block's numbers and runs forward and backward in float64. A name of the block that
is the net's is compared with it: `x` with the data of blob x, `dx` with its diff, and so for learned blobs, which are
called w and b unless `param { name }` calls them otherwise. An array `u` replaces the random numbers of the layers.

Central differences: each `dx` is compared with how the loss changes where `x` is moved. The loss is `loss`, or where
there is none the sum of y · dy for each y whose dy is given. A name that is assigned twice, as a layer does that runs
in place, is taken backwards: the last dx belongs to the first x.

A block that begins with given numbers, `x = np.array(...)`, starts anew; another one continues the block before, and
so does one that begins with the given diff of something known.
Blocks that speak of minicaffe or of `net` are run alone: what they show is what the net itself says.
"""

import ast
import builtins
import copy
import io
import os
import re
import tokenize
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from pages import BLOCK

from minicaffe import TRAIN, Net
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text

ROOT = Path(__file__).parents[1]
QUOTE = re.compile(r"# (minicaffe/\S+\.py)\n")
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.]*\w)")
STEP = 1e-5


class Statement(NamedTuple):
    """One statement of a block: its code, the names that it sets, whether they are given numbers, and its comment."""

    code: ast.stmt
    names: tuple[str, ...]
    given: bool
    adds: bool
    shown: str

    def run(self, names):
        """Run it in these names; the value of an expression or of the name that it sets."""
        if isinstance(self.code, ast.Expr):
            return eval(compile(ast.Expression(self.code.value), "page", "eval"), names)
        exec(compile(ast.Module([self.code], []), "page", "exec"), names)
        return names[self.names[0]] if self.names else None


def statements(text):
    """The statements of a block of Python."""
    comments = {token.start[0]: token.string[1:].strip() for token in
                tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT}
    for node in ast.parse(text).body:
        targets = [node.target] if isinstance(node, ast.AugAssign) else getattr(node, "targets", [])
        names = tuple(name.id for target in targets for name in ast.walk(target)
                      if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store))
        given = isinstance(node, ast.Assign) and not any(
            isinstance(part, ast.Name) and part.id != "np" for part in ast.walk(node.value))
        shown = comments.get(node.end_lineno, "")
        yield Statement(node, names, given and not is_value(shown), isinstance(node, ast.AugAssign), shown)


def is_value(comment):
    """Whether a comment is a value that must come out, and no words."""
    try:
        ast.literal_eval(re.sub("nan|inf", "0", comment))
    except (SyntaxError, ValueError):
        return False
    return True


def same(shown, value):
    """Whether a value is the one that a comment shows: rounded where it has four decimals or more, else exactly."""
    wanted = np.array(eval(shown, {"nan": np.nan, "inf": np.inf}))
    value = np.array(value)
    if wanted.shape != value.shape:
        return False
    parts = re.findall(r"\d+(?:\.(\d*))?(?:e([-+]?\d+))?|nan|inf|True|False", shown)
    rounded = [0.5 * 10.0 ** (int(power or 0) - len(digits)) if power or len(digits) >= 4 else 0
               for digits, power in parts]
    wanted, value = wanted.astype(float), value.astype(float)
    play = 1.000001 * np.array(rounded).reshape(wanted.shape) + 1e-10 * np.abs(wanted)
    with np.errstate(invalid="ignore"):  # ∞ − ∞, of which == tells more
        return bool(((value == wanted) | (np.abs(value - wanted) <= play) | np.isnan(value) & np.isnan(wanted)).all())


class Student:
    """Follows pages in a folder. `seen` holds, for each block that was run, what was compared and with what."""

    def __init__(self, folder):
        self.folder = folder
        self.names = {"np": np}
        self.before = {}       # the names as they were when the current unit began
        self.unit = []         # its statements
        self.net = ""          # the prototxt above
        self.seen = []         # (witness, name): witness is "shown", "layer" or "difference"

    def follow(self, text):
        """Take the blocks of a page, or of a part of a page, in order; AssertionError where something disagrees."""
        for language, name, block in BLOCK.findall(text):
            if name:
                (self.folder / name).write_text(block, encoding="utf-8")
            elif language == "prototxt":
                self.net = block
            elif language == "python" and (quote := QUOTE.match(block)):
                self.compare_with_file(quote[1], block[quote.end():])
            else:
                assert language == "python", f"no rule for a block of {language}"
                self.run(block)
        return self.seen

    def compare_with_file(self, path, quoted):
        lines = [line.strip() for line in (ROOT / path).read_text(encoding="utf-8").splitlines()]
        place = 0
        for part in re.split(r"^\s*\.\.\.\n", quoted, flags=re.MULTILINE):
            wanted = [line.strip() for line in part.splitlines()]
            place = next((i + len(wanted) for i in range(place, len(lines))
                          if lines[i:i + len(wanted)] == wanted), None)
            assert place is not None, f"{path} does not say:\n{part}"
        self.seen.append(("quote", path))

    def run(self, block):
        """Run a block, compare what it shows, then ask the other witnesses."""
        made = list(statements(block))
        live = "minicaffe" in block or "net." in block
        begins = made[0].given and not self.is_diff(made[0].names[0])
        if live or begins or not self.unit:
            self.unit, self.before = [], copy.deepcopy({k: v for k, v in self.names.items() if k != "net"
                                                        and isinstance(v, (np.ndarray, float, int))})
        here = Path.cwd()
        os.chdir(self.folder)  # contextlib.chdir is newer than our oldest Python
        try:
            with np.errstate(all="ignore"):
                for statement in made:
                    self.step(statement)
        finally:
            os.chdir(here)
        if live:
            self.unit = []
            return
        self.unit += made
        assigned = {name for statement in made for name in statement.names if not statement.given}
        self.ask_layers(assigned)
        self.ask_differences(assigned)

    def is_diff(self, name):
        return name[:1] == "d" and name[1:] in self.names

    def step(self, statement):
        if statement.shown.endswith("Error"):
            with pytest.raises(getattr(builtins, statement.shown)):
                statement.run(self.names)
            return
        value = statement.run(self.names)
        if is_value(statement.shown):
            assert same(statement.shown, value), (f"{ast.unparse(statement.code)} gives {np.array(value).tolist()}, "
                                                  f"the page shows {statement.shown}")
            self.seen.append(("shown", statement.names[0] if statement.names else ast.unparse(statement.code)))

    # --- the layers -------------------------------------------------------------------------------

    def ask_layers(self, assigned):
        """Compare the names of a block with a pass of the net above, where it has blobs of these names."""
        if not self.net:
            return
        known = blob_names(self.net)
        wanted = {name for name in assigned if name in known or (name[:1] == "d" and name[1:] in known)}
        if not wanted:
            return
        net = run_net(self.net, self.names, backward=not wanted <= known)
        for name in sorted(wanted):
            blob, what = (net[name], "data") if name in net else (net[name[1:]], "diff")
            np.testing.assert_allclose(self.names[name], getattr(blob, what), rtol=1e-9, atol=1e-12,
                                       err_msg=f"the page's {name} (left) is not what the layer computes (right)")
            self.seen.append(("layer", name))

    # --- central differences ----------------------------------------------------------------------

    def ask_differences(self, assigned):
        """Compare each gradient that a block computes with the central difference of the loss."""
        for name in sorted(name for name in assigned if re.fullmatch(r"d[a-zA-Z]\w*", name)):
            gradients, places = self.places(name), self.places(name[1:])
            assert places, f"{name} is assigned, but there is no {name[1:]}"
            assert len(places) == len(gradients), f"{name[1:]} has {len(places)} values, {name} {len(gradients)}"
            for place, gradient in zip(places, reversed(gradients), strict=True):
                claimed = np.array(self.rerun(stop=self.end_of(name, gradient))[name], float)
                np.testing.assert_allclose(claimed, self.difference(name[1:], place), rtol=1e-6, atol=1e-7,
                                           err_msg=f"{name} on the page is not the slope of the loss")
                self.seen.append(("difference", name))

    def places(self, name):
        """The numbers of the statements that set a name; −1 for a name from before the unit."""
        found = [i for i, s in enumerate(self.unit) if name in s.names and not s.adds]
        return found or ([-1] if name in self.before else [])

    def end_of(self, name, place):
        """The number behind the last statement that adds to what statement `place` sets."""
        end = place + 1
        for i in range(place + 1, len(self.unit)):
            if name in self.unit[i].names:
                if not self.unit[i].adds:
                    break
                end = i + 1
        return end

    def rerun(self, stop=None, move=None):
        """Run the unit again up to statement `stop`; with move=(place, name, index, step) a number is moved on the way.
        """
        names = {k: v for k, v in self.names.items() if callable(v) or k == "np"} | copy.deepcopy(self.before)
        with np.errstate(all="ignore"):
            for i, statement in enumerate([None, *self.unit[:stop]]):
                if statement is not None and not statement.shown.endswith("Error"):
                    statement.run(names)
                if move and move[0] == i - 1:
                    _, name, index, step = move
                    names[name] = np.array(names[name], float)
                    names[name][index] += step
        return names

    def difference(self, name, place):
        """The central differences of the loss for each number of a name as statement `place` sets it."""
        shape = np.shape(self.rerun(stop=place + 1)[name])
        slopes = np.empty(shape)
        for index in np.ndindex(shape):
            above, below = (self.loss(self.rerun(move=(place, name, index, step))) for step in (STEP, -STEP))
            slopes[index] = (above - below) / (2 * STEP)
        return slopes

    def loss(self, names):
        computed = {name for s in self.unit if not s.given for name in s.names}
        if "loss" in computed:
            return float(names["loss"])
        given = {name for s in self.unit if s.given for name in s.names} | set(self.before)
        pairs = [name for name in sorted(computed) if f"d{name}" in given - computed]
        assert pairs, "there is neither a loss nor a given diff of something that is computed"
        return float(sum((names[name] * names[f"d{name}"]).sum() for name in pairs))


# --- the net of a page ------------------------------------------------------------------------------------

def parsed(text):
    return proto_text.parse(text, NetParameter())


def learned_names(layer):
    """What the learned blobs of a layer are called on a page."""
    given = [spec.name for spec in layer.param]
    return [given[i] if i < len(given) and given[i] else name for i, name in enumerate("wb")]


def blob_names(text):
    """The names that a page may use for the blobs of a net."""
    net = parsed(text)
    return {name for layer in net.layer for name in [*layer.bottom, *layer.top, *learned_names(layer)]}


class FixedDraws:
    """Gives the layers of a net the random numbers of the page, in place of a generator."""

    def __init__(self, u):
        self.u = u

    def of(self, name):
        return self

    def random(self, shape):
        return self.u.reshape(shape)


def run_net(text, names, backward):
    """Run the layers of a page on its numbers, in float64: name -> Blob, for blobs and for learned blobs."""
    definition, made = parsed(text), set()
    whole = NetParameter(force_backward=True)
    for layer in definition.layer:
        for bottom in layer.bottom:
            if bottom not in made:
                source = whole.layer.add(name=f"input {bottom}", type="Input", top=[bottom])
                source.input_param.shape.add(dim=np.shape(names[bottom]))
                made.add(bottom)
        whole.layer.add().CopyFrom(layer)
        whole.layer[-1].name = layer.name or f"{layer.type} {layer.top[0]}"
        made |= set(layer.top)
    net = Net(whole, TRAIN, dtype=np.float64)
    blobs = dict(net.blobs)
    for layer in net.layers:
        blobs |= dict(zip(learned_names(layer.layer_param), layer.blobs, strict=False))
        if "u" in names:
            layer.pass_draws = FixedDraws(names["u"])
    for name in {*net.inputs, *blobs} - set(net.blobs) | set(net.inputs):
        assert blobs[name].shape == np.shape(names[name]), f"{name} is {np.shape(names[name])} on the page"
        blobs[name].data[...] = names[name]
    net.forward()
    if not backward:
        return blobs
    for name in net.outputs:
        if f"d{name}" in names and not any(net.layers[-1].loss_weights):
            net.blobs[name].diff[...] = names[f"d{name}"]
    net.clear_param_diffs()
    net.backward()
    return blobs


# --- the words of a page ----------------------------------------------------------------------------------

def sections(text):
    """Heading -> text of each part of a page that begins with `## `."""
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def numbers_in_words(text):
    """The numbers in the words, formulas and tables of a page, as they are written; whole numbers below 10 left out.
    """
    words = BLOCK.sub("", text)
    words = re.sub(r"\]\([^)]*\)|<[^>]*>|`[^`]*/[^`]*`|[{}]|(?<=\d),(?=\d{3})", "", words)
    return [number for number in NUMBER.findall(words) if len(number) > 1]


def numbers_in_code(text):
    """The numbers in the code of a page: given, or compared."""
    code = " ".join(block for _, _, block in BLOCK.findall(text))
    return {float(number) for number in re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", code)}


def without_source(text):
    """The numbers of the words that are not those of the code, rounded to the digits that the words show."""
    known = numbers_in_code(text)
    return [number for number in numbers_in_words(text)
            if not any(abs(value - float(number)) <= 0.5 * 10.0 ** -len(number.partition(".")[2]) + 1e-12
                       if "." in number else value == float(number) for value in known)]
