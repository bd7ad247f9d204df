"""Run the program graphviz on the text of a drawing: it makes the formats that minicaffe does not write itself."""

from __future__ import annotations

import shutil
import subprocess

from minicaffe.errors import DataError, EngineError
from minicaffe.log import At, one_line, warn


def is_there() -> bool:
    """Return whether the program `dot` is on the PATH."""
    return shutil.which("dot") is not None


def render(text: str, form: str) -> bytes:
    """Return a text in the language of graphviz as a picture of a format such as "png", "pdf" or "svg".

    Raise EngineError where graphviz is not installed, DataError where it does not know the format.
    """
    program = shutil.which("dot")
    if program is None:
        raise EngineError(f"a drawing as {one_line(form)} needs graphviz, whose program 'dot' is not on the PATH",
                          hint="install graphviz (apt install graphviz, brew install graphviz), or draw an .svg, an "
                               ".html or a .dot")
    done = subprocess.run([program, f"-T{form}"], input=text.encode("utf-8", "replace"), capture_output=True,
                          check=False)
    said = one_line(done.stderr.decode("utf-8", "replace").strip())
    if done.returncode:
        raise DataError(f"graphviz made no {one_line(form)}: {said or f'exit status {done.returncode}'}")
    if said:  # such as that it made a large picture smaller
        warn(At.FIELD_WARNING, f"graphviz: {said}")
    return done.stdout
