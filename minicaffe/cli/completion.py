"""Print a script that lets a shell complete commands, flags, files and layer types.

  minicaffe completion bash > ~/.local/share/bash-completion/completions/minicaffe
  minicaffe completion zsh > ~/.zfunc/_minicaffe        with ~/.zfunc in fpath, before compinit
  minicaffe completion fish > ~/.config/fish/completions/minicaffe.fish

The script lists the commands of this version, so print it again after an update. To try it in the current shell:

  source <(minicaffe completion bash)
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from minicaffe import lint, passes
from minicaffe.cli import course, new_data
from minicaffe.cli.new_database import BACKENDS
from minicaffe.cli.terminal import say
from minicaffe.layer import registered_types

FILES = ("F", "F,F", "FILE", "NET", "A", "B", "RUN", "auto|F", "MODULE", "IMAGES", "INPUT", "INPUT_DB", "OLD",
         "WEIGHTS", "TRAIN_NET", "LISTFILE")  # names of arguments that are files
FOLDERS = ("DIR", "FOLDER", "ROOTFOLDER/")
WORDS: dict[tuple[str, str], Callable[[], list[str]]] = {  # arguments that take words which argparse does not know
    ("layers", "name"): registered_types, ("explain", "type"): registered_types,
    ("show", "after"): lambda: [name for name, _ in passes.PASSES], ("new", "kind"): lambda: [*new_data.MAKERS],
    ("course", "action"): lambda: [*course.ACTIONS],
    ("lint", "explain"): lambda: ["all", *lint.rules()], ("lint", "silence"): lambda: [*lint.rules()],
    **{(command, "backend"): lambda: [*BACKENDS] for command in ("compute_image_mean", "convert_imageset",
                                                                 "convert_idx")}}


class Argument(NamedTuple):
    """A flag with its names, or a positional argument without any, and what values it takes."""

    names: Sequence[str]
    help: str
    words: Sequence[str] = ()
    takes: str = ""  # 'file', 'folder', 'text', or '' for a flag that takes nothing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=sorted(SHELLS), help="the shell for which to print the script")


def run(args: argparse.Namespace) -> int:
    from minicaffe.cli.__main__ import COMMANDS

    commands = {name: (what, arguments(name)) for name, (_, what) in COMMANDS.items()}
    say("\n".join(SHELLS[args.shell](commands)))
    return 0


def arguments(command: str) -> list[Argument]:
    """Return the arguments of a command; without the forms of a switch that its help does not name either."""
    from minicaffe.cli.__main__ import parser_of

    made = [_argument(command, action) for action in parser_of(command)[1]._actions
            if action.help is not argparse.SUPPRESS]
    alone, flags = [one for one in made if not one.names], [one for one in made if one.names]
    return [_any_of(alone), *flags] if alone else flags


def _any_of(alone: Sequence[Argument]) -> Argument:
    """Return one argument for all that stand without a flag, because the scripts do not count which of them comes next.

    Where one of them is a file, all are completed as files, which includes folders.
    """
    kinds = [one.takes for one in alone]
    takes = "file" if "file" in kinds else "folder" if "folder" in kinds else kinds[0]
    return Argument((), alone[0].help, [word for one in alone for word in one.words], takes)


def _argument(command: str, action: argparse.Action) -> Argument:
    find = WORDS.get((command, action.dest), lambda: [str(choice) for choice in action.choices or ()])
    words = find()
    metavar = str(action.metavar or "")
    takes = "" if action.nargs == 0 else "file" if metavar in FILES else "folder" if metavar in FOLDERS else "text"
    return Argument(action.option_strings, " ".join((action.help or "").split()), words, takes)


Commands = dict[str, tuple[str, list[Argument]]]


def _flags(given: Sequence[Argument]) -> list[str]:
    return [name for argument in given for name in argument.names]


def _alone(given: Sequence[Argument]) -> Argument | None:
    return next((argument for argument in given if not argument.names), None)


# --- bash -------------------------------------------------------------------------------------------------

BASH = """\
# completion of minicaffe for bash; made by: minicaffe completion bash
_minicaffe_words() {
    COMPREPLY=($(compgen -W "$1" -- "$cur"))
}
_minicaffe_files() {
    local IFS=$'\\n'
    compopt -o filenames 2> /dev/null
    COMPREPLY=($(compgen "$1" -- "$cur"))
}
_minicaffe() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    COMPREPLY=()
    if [[ $cur == = ]]; then  # bash takes --solver=F for three words
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    if [[ $prev == -[!-]?* ]]; then  # Caffe's -solver
        prev=-$prev
    fi"""


def bash(commands: Commands) -> Iterator[str]:
    """Yield the lines of the script for bash."""
    yield BASH
    yield f'    if ((COMP_CWORD == 1)); then _minicaffe_words "{" ".join(commands)}"; return; fi'
    yield '    case "${COMP_WORDS[1]} $prev" in'
    for command, (_, given) in commands.items():
        for argument in given:
            if argument.takes and argument.names:
                patterns = "|".join(f'"{command} {name}"' for name in argument.names)
                yield f"        {patterns}) {_bash_values(argument)}; return ;;"
    yield "    esac"
    yield '    case "${COMP_WORDS[1]}" in'
    for command, (_, given) in commands.items():
        alone = _alone(given)
        yield f"        {command})"
        yield f'            if [[ $cur == -* ]]; then _minicaffe_words "{" ".join(_flags(given))}"'
        yield f"            else {_bash_values(alone) if alone else ':'}; fi ;;"
    yield "    esac"
    yield "}"
    yield "complete -F _minicaffe minicaffe"


def _bash_values(argument: Argument) -> str:
    if argument.words:
        return f'_minicaffe_words "{" ".join(argument.words)}"'
    return {"file": "_minicaffe_files -f", "folder": "_minicaffe_files -d"}.get(argument.takes, ":")


# --- zsh --------------------------------------------------------------------------------------------------

def zsh(commands: Commands) -> Iterator[str]:
    """Yield the lines of the script for zsh."""
    yield "#compdef minicaffe"
    yield "# completion of minicaffe for zsh; made by: minicaffe completion zsh"
    yield "_minicaffe() {"
    yield "    if (( CURRENT == 2 )); then"
    yield "        local -a commands=("
    yield from ("            " + _quoted(f"{name}:{what}") for name, (what, _) in commands.items())
    yield "        )"
    yield "        _describe command commands"
    yield "        return"
    yield "    fi"
    yield "    local command=$words[2]"
    yield "    shift words"
    yield "    (( CURRENT-- ))"
    yield "    case $command in"
    for command, (_, given) in commands.items():
        yield f"        {command}) _arguments -S \\"
        yield from (f"            {spec} \\" for argument in given for spec in _zsh_specs(argument))
        yield "            ;;"
    yield "    esac"
    yield "}"
    yield 'if [[ $funcstack[1] == _minicaffe ]]; then _minicaffe "$@"; else compdef _minicaffe minicaffe; fi'


def _zsh_specs(argument: Argument) -> Iterator[str]:
    action = f"({' '.join(argument.words)})" if argument.words else \
        {"file": "_files", "folder": "_files -/"}.get(argument.takes, " ")
    told = re.sub(r"([\[\]:\\])", r"\\\1", argument.help)
    if not argument.names:
        yield _quoted(f"*: :{action}")
    for name in argument.names:
        value = f": :{action}" if argument.takes else ""
        yield _quoted(f"{name}{'=' if value and name.startswith('--') else ''}[{told}]{value}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# --- fish -------------------------------------------------------------------------------------------------

def fish(commands: Commands) -> Iterator[str]:
    """Yield the lines of the script for fish."""
    yield "# completion of minicaffe for fish; made by: minicaffe completion fish"
    yield "complete -c minicaffe -f"
    for name, (what, given) in commands.items():
        yield f"complete -c minicaffe -n __fish_use_subcommand -a {name} -d {_fish_quoted(what)}"
        here = f"complete -c minicaffe -n '__fish_seen_subcommand_from {name}'"
        for argument in given:
            told = f" -d {_fish_quoted(argument.help)}" if argument.help else ""
            names = "".join(f" -l {n[2:]}" if n.startswith("--") else f" -s {n[1:]}" for n in argument.names)
            yield f"{here}{names}{_fish_values(argument)}{told}"


def _fish_values(argument: Argument) -> str:
    required = " -r" if argument.names else ""
    if argument.words:
        return f"{required} -f -a {_fish_quoted(' '.join(argument.words))}"
    if argument.takes == "folder":
        return f"{required} -f -a '(__fish_complete_directories)'"
    return {"file": f"{required} -F", "text": f"{required} -f", "": ""}[argument.takes]


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: dict[str, Callable[[Commands], Iterator[str]]] = {"bash": bash, "zsh": zsh, "fish": fish}
