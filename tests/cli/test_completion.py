"""`minicaffe completion`: scripts that real shells take, generated from the commands."""

import shutil
import subprocess

import pytest

from minicaffe.cli.__main__ import COMMANDS, main
from minicaffe.layer import registered_types


@pytest.fixture
def script(capsys, tmp_path):
    """A function that gives the path of a shell's script."""
    def write(shell):
        assert main(["completion", shell]) == 0
        path = tmp_path / f"minicaffe.{shell}"
        path.write_text(capsys.readouterr().out)
        return str(path)

    return write


@pytest.fixture
def complete(script, tmp_path):
    """A function that gives what bash offers for the last of some words."""
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    path = script("bash")
    (tmp_path / "here").mkdir()
    for name in ("a solver.prototxt", "net.prototxt"):
        (tmp_path / "here" / name).write_text("")
    (tmp_path / "here" / "folder").mkdir()

    def offers(*words):
        quoted = " ".join(f"'{word}'" for word in words)
        code = f"source {path}; COMP_WORDS=(minicaffe {quoted}); COMP_CWORD={len(words)}; _minicaffe; " \
               "printf '%s\\n' \"${COMPREPLY[@]}\"; complete -p minicaffe >&2"
        run = subprocess.run(["bash", "--norc", "-c", code], cwd=tmp_path / "here", capture_output=True, text=True,
                             timeout=60)
        assert run.returncode == 0
        assert run.stderr == "complete -F _minicaffe minicaffe\n"
        return sorted(run.stdout.split("\n")[:-1])

    return offers


def test_bash_completes_commands_and_flags(complete):
    """Commands come first, then each command's own flags."""
    assert complete("") == sorted(COMMANDS)
    assert complete("su") == ["summary"]
    assert complete("train", "--sol") == ["--solver"]
    assert complete("time", "--ba") == [""]
    assert complete("summary", "x", "--ba") == ["--batch"]


def test_bash_completes_values(complete):
    """Files where a path belongs, folders, choices, passes, layer types; nothing where a number belongs."""
    everything = ["a solver.prototxt", "folder", "net.prototxt"]
    assert complete("train", "--solver", "") == everything
    assert complete("layers", "--import", "") == everything
    assert complete("train", "--solver", "=", "ne") == ["net.prototxt"]
    assert complete("train", "--solver", "=") == everything
    assert complete("train", "-solver", "a") == ["a solver.prototxt"]
    assert complete("train", "--tensorboard", "") == ["folder"]
    assert complete("train", "--on-nan", "") == ["stop", "warn"]
    assert complete("train", "--iterations", "") == [""]
    assert complete("show", "n") == ["net.prototxt"]
    assert complete("show", "net.prototxt", "--after", "fi") == ["filter"]
    assert complete("completion", "") == ["bash", "fish", "zsh"]
    assert complete("layers", "") == sorted(registered_types())
    assert complete("layers", "SoftmaxW") == ["SoftmaxWithLoss"]
    assert complete("explain", "SoftmaxW") == ["SoftmaxWithLoss"]
    assert complete("no_command", "") == [""]
    assert complete("lint", "--explain", "al") == ["all"]
    assert complete("new", "mul") == ["multilabel"]


@pytest.mark.parametrize("words", [
    ["classify", "net", "weights"], ["classify", "net", "weights", "a.jpg", "--labels"], ["data"], ["data", "--sheet"],
    ["deploy"], ["deploy", "net", "out", "--weights"], ["lint"], ["convert_imageset", "photos/"], ["convert_csv"],
    ["convert_idx", "images"], ["convert_cifar"], ["compute_image_mean"], ["extract_features", "weights"], ["upgrade"]])
def test_bash_completes_files_of_each_command(complete, words):
    """A command with a file among its arguments completes files, wherever it stands."""
    assert ["net.prototxt"] == complete(*words, "net")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_takes_the_script(script, shell):
    """The script is one that the shell can read, where the shell is there."""
    path = script(shell)
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    run = subprocess.run([shell, "-n", path], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_flag_is_in_it(script, shell):
    """What argparse knows, the script knows; quotes are balanced."""
    from minicaffe.cli.completion import arguments

    with open(script(shell), encoding="utf-8") as file:
        text = file.read()
    for command in COMMANDS:
        assert command in text
        for argument in arguments(command):
            for name in argument.names:
                option = name if shell != "fish" else f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                assert option in text


def test_an_unknown_shell(capsys):
    """The error lists those that are known."""
    with pytest.raises(SystemExit):
        main(["completion", "tcsh"])
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err
