"""Make a folder with the layout of a compiled Caffe, so that scripts which call Caffe's tools run unchanged.

  minicaffe caffe-root caffe       make the folder caffe: build/tools/caffe, python/caffe and so on
  minicaffe caffe-root .           in a checkout of Caffe: add them to it
  caffe/build/tools/caffe train --solver=solver.prototxt

The files are launchers: scripts of a few lines that start this Python with minicaffe. The tools take Caffe's flags and
write Caffe's log lines. With PYTHONPATH=DIR/python, a script's `import caffe` gives minicaffe's pycaffe.

A file that is already there stays as it is, and the command names it; --force replaces it. Launchers of an earlier run
are always written anew, so run the command again after Python has moved. On Windows each tool is also a .cmd file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from minicaffe.cli.terminal import complain, say
from minicaffe.errors import MinicaffeError
from minicaffe.io.files import replace_file
from minicaffe.log import one_line, plural

MARK = "Written by `minicaffe caffe-root`"  # a later run recognises its own files by it
TOOLS = ("caffe", "compute_image_mean", "convert_imageset", "extract_features", "upgrade_net_proto_text",
         "upgrade_net_proto_binary", "upgrade_solver_proto_text", "train_net", "finetune_net", "test_net",
         "net_speed_benchmark", "device_query", "dump_network")
EXAMPLES = ("mnist/convert_mnist_data", "cifar10/convert_cifar_data", "siamese/convert_mnist_siamese_data",
            "cpp_classification/classification")
MODULE = "minicaffe.cli.caffe_tools"
SCRIPTS = {  # Python scripts of Caffe -> what Python is started with in their place
    "python/classify.py": ("-m", "minicaffe.pycaffe.classify"),
    "python/detect.py": ("-m", "minicaffe.pycaffe.detect"),
    "python/draw_net.py": ("-m", "minicaffe.pycaffe.draw_net"),
    "python/train.py": ("-m", MODULE, "train.py"),
    "tools/extra/parse_log.py": ("-m", MODULE, "parse_log.py"),
    "tools/extra/plot_training_log.py": ("-m", MODULE, "plot_training_log.py"),
    "tools/extra/summarize.py": ("-m", MODULE, "summarize.py"),
}
PACKAGE = "python/caffe/__init__.py"
MOVED = "is gone: run minicaffe caffe-root for this folder again"  # of the Python that a launcher names
MOST_NAMED = 12  # so many files that stay as they are get named, and the others are counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="the folder to lay out; it is made where there is none")
    parser.add_argument("--force", action="store_true", help="replace files that are there and that this command has "
                        "not made, such as Caffe's own programs and scripts")


def run(args: argparse.Namespace) -> int:
    if not sys.executable:
        raise MinicaffeError("this Python does not know its own path, which the launchers need")
    if not args.folder:  # not the current folder, as Path('') would mean
        raise MinicaffeError("DIR is empty", hint="is a variable of the shell not set? For the current folder write .")
    root = Path(args.folder)
    texts = dict(_texts(sys.executable))
    kept = [] if args.force else [name for name in texts if _is_not_ours(root / name)]
    _write(root, {name: text for name, text in texts.items() if name not in kept})
    _link_release(root)
    say(f"{args.folder}: {plural(len(texts) - len(kept), 'launcher')} for {sys.executable}")
    if kept:
        _tell_kept(kept)
    say("Many scripts expect these variables:")
    say(f"  export CAFFE_ROOT={shlex.quote(str(root.resolve()))} "
        f"PYTHONPATH={shlex.quote(str(root.resolve() / 'python'))}")
    return 0


def _texts(python: str) -> Iterator[tuple[str, str]]:
    """Yield the path in the folder, and the content, of each file."""
    for path in (*(f"build/tools/{name}" for name in TOOLS), *(f"build/examples/{name}" for name in EXAMPLES)):
        tool = path.rpartition("/")[2]
        for name in (path, f"{path}.bin"):
            yield name, shell_launcher(python, tool)
        if os.name == "nt":
            yield f"{path}.cmd", windows_launcher(python, tool)
    for path, begin in SCRIPTS.items():
        yield path, python_launcher(python, begin, levels=path.count("/"))
    yield PACKAGE, package_text(python)


def shell_launcher(python: str, tool: str) -> str:
    """Return a shell script that runs a tool of Caffe's."""
    return (f"#!/bin/sh\n# {MARK}: Caffe's tool {tool}, done by minicaffe.\n"
            f"python={shlex.quote(python)}\n"
            f'[ -x "$python" ] || {{ echo "$0: $python {MOVED}" >&2; exit 1; }}\n'
            f'exec "$python" -m {MODULE} {tool} "$@"\n')


def windows_launcher(python: str, tool: str) -> str:
    """Return the same for the command prompt of Windows."""
    return f'@rem {MARK}: Caffe\'s tool {tool}, done by minicaffe.\n@"{python}" -m {MODULE} {tool} %*\n'


def python_launcher(python: str, begin: tuple[str, ...], levels: int) -> str:
    """Return a script that any Python can run, also Python 2. It starts the Python that has minicaffe.

    levels    how many folders below the CAFFE_ROOT the script lies; classify.py looks there for its default model
    """
    return f'''#!/usr/bin/env python3
"""{MARK}: a script of Caffe's, done by minicaffe."""
import os
import subprocess
import sys

root = os.path.join(os.path.dirname(os.path.abspath(__file__)), {", ".join(['".."'] * levels)})
os.environ.setdefault("CAFFE_ROOT", os.path.normpath(root))
command = [{", ".join(ascii(word) for word in (python, *begin))}] + sys.argv[1:]
if not os.path.exists(command[0]):
    sys.exit("%s: %s {MOVED}" % (sys.argv[0], command[0]))
if os.name == "nt":  # there, os.execv does not wait
    sys.exit(subprocess.call(command))
os.execv(command[0], command)
'''


def package_text(python: str) -> str:
    """Return the package `caffe`, which puts minicaffe's pycaffe in its own place."""
    return f'''"""{MARK}: `import caffe` gives minicaffe.pycaffe."""
import sys

try:
    from minicaffe.pycaffe import alias
except ImportError as error:
    raise ImportError("caffe is minicaffe here, and %s cannot import that: %s. Run the script with %s" % (
        sys.executable, error, {python!a}))
sys.modules.pop(__name__, None)  # leave this place to minicaffe's
alias.install()
'''


def _is_not_ours(path: Path) -> bool:
    """Return whether something is there that this command has not made."""
    try:
        with open(path, "rb") as file:
            return MARK.encode() not in file.read(1000)
    except FileNotFoundError:
        return path.is_symlink()  # a link to nothing is somebody's, too
    except NotADirectoryError:  # a file where a folder is needed: `_make_folder` says so
        return False
    except OSError:  # a folder, or a file that may not be read
        return True


def _write(root: Path, texts: dict[str, str]) -> None:
    """Write the files, or leave none that was not there before. Raise DataError where the system refuses."""
    new: list[Path] = []
    try:
        for name, text in texts.items():
            path = root / name
            new += [folder for folder in reversed(path.parents) if not folder.exists()]
            _make_folder(path.parent)
            if not path.exists():
                new.append(path)
            replace_file(path, [text.encode()])
            if not name.endswith((".cmd", PACKAGE)):
                path.chmod(path.stat().st_mode | 0o111 & ~_umask())
    except BaseException:
        for path in reversed(new):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        blocked = next((path for path in (*reversed(folder.parents), folder) if not path.is_dir()), folder)
        raise MinicaffeError(f"{blocked} is no folder, and a folder is needed there") from error
    except OSError as error:
        raise MinicaffeError(f"the folder {folder} cannot be made: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _link_release(root: Path) -> None:
    """Let .build_release, where Caffe's Makefile builds, be the same folder as build."""
    with contextlib.suppress(OSError):  # it is there, or the system has no links: few scripts need this name
        (root / ".build_release").symlink_to("build")


def _tell_kept(kept: list[str]) -> None:
    """Say which files stay as they are."""
    shown = [f"  {one_line(name)}" for name in kept[:MOST_NAMED]]
    if len(kept) > MOST_NAMED:
        shown.append(f"  and {len(kept) - MOST_NAMED} more")
    words = [f"minicaffe: warning: kept {plural(len(kept), 'file')} that this command has not made:", *shown]
    if PACKAGE in kept:
        words.append("  hint: a script's `import caffe` then finds that package. python -m minicaffe.pycaffe SCRIPT "
                     "gives the script minicaffe instead")
    words.append("  hint: --force replaces them" if len(kept) > 1 else "  hint: --force replaces it")
    complain("\n".join(words))
