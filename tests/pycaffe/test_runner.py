"""`python -m minicaffe.pycaffe`: what a script sees, how it ends, and what its child processes can import."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import zipfile

import pytest

from minicaffe.pycaffe import alias, runner

OTHER_CAFFE = "raise SystemExit('this is the other caffe')"


def python(*args, folder, given=None, env=None, options=("-W", "error")):
    done = subprocess.run([sys.executable, *options, *args], cwd=folder, input=given, capture_output=True, text=True,
                          check=False, encoding="utf-8", env={**os.environ, "PYTHONIOENCODING": "utf-8", **(env or {})})
    return done.returncode, done.stdout, done.stderr


def run(*args, **options):
    return python("-m", "minicaffe.pycaffe", *args, **options)


def write(path, text):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


# --- what a program sees -------------------------------------------------------------------------------------------

SEES = """
    import sys
    print(__name__, __package__, __builtins__, sys.argv, sys.path[0], sys.flags.optimize, sys.flags.dev_mode)
    print(globals().get("__file__"), type(globals().get("__loader__")).__name__, __spec__ and __spec__.name)
    print(sys.modules["__main__"].__dict__ is globals(), "stop" in globals(), __doc__)
"""


def test_a_script_sees_what_python_shows_it(tmp_path):
    """The same names, arguments and path as without the runner, also in a folder with blanks and other letters."""
    write(tmp_path / "für alle" / "see it.py", '"Its words."' + textwrap.dedent(SEES))
    write(tmp_path / "inside" / "__main__.py", SEES)
    write(tmp_path / "package" / "__init__.py", "")
    write(tmp_path / "package" / "__main__.py", SEES)
    write(tmp_path / "package" / "part.py", SEES)
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        packed.writestr("__main__.py", textwrap.dedent(SEES))
    code = textwrap.dedent(SEES)
    for args, given in ((["für alle/see it.py", "a", "-m", "--b=c"], None), (["inside"], None), (["packed.zip"], None),
                        ([str(tmp_path / "inside"), "1"], None), (["-m", "package", "x"], None),
                        (["-mpackage.part", "-c"], None), (["-c", code, "-m"], None), (["-", "x"], code), ([], code)):
        plain = python(*args, folder=tmp_path, given=given, options=["-O"])
        assert 0 == plain[0], plain
        assert plain == run(*args, folder=tmp_path, given=given, options=["-O"])


def test_the_users_modules_are_found_beside_the_script(tmp_path):
    """The user's modules are found, and are not mixed up with minicaffe's or Python's of the same name."""
    write(tmp_path / "net.py", "mine = 'net'")
    write(tmp_path / "draw.py", "mine = 'draw'")
    write(tmp_path / "io.py", "mine = 'io'")
    write(tmp_path / "caffe.py", OTHER_CAFFE)
    script = write(tmp_path / "script.py", """
        import draw, io, net, caffe, caffe.net
        print(draw.mine, net.mine, hasattr(io, "StringIO"), caffe.net is net, caffe.__name__)
    """)

    assert (0, "draw net True False minicaffe.pycaffe\n", "") == run(script, folder="/")


def test_the_root_of_a_caffe_in_front_of_the_path(tmp_path):
    """Scripts look for a compiled Caffe in CAFFE_ROOT/python; what lies there is not imported."""
    write(tmp_path / "root" / "python" / "caffe" / "__init__.py", OTHER_CAFFE)
    write(tmp_path / "script.py", """
        import sys
        sys.path.insert(0, "root/python")
        import caffe
        print(caffe.__name__)
    """)

    assert (0, "minicaffe.pycaffe\n", "") == run("script.py", folder=tmp_path)


# --- how a program ends --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("ending", ["sys.exit('text')", "sys.exit(3)", "sys.exit()", "1 / 0", "raise KeyboardInterrupt",
                                    "sys.excepthook = lambda *e: print(e[0], len(traceback.extract_tb(e[2])))\n1 / 0",
                                    "try:\n    1 / 0\nexcept ZeroDivisionError:\n    {}['x']", "x = = 1",
                                    "atexit.register(print, 'the end')\n1 / 0", "import later",
                                    "class Mute(Exception):\n    __str__ = None\nraise Mute",
                                    "threading.Thread(target=lambda: print(__name__)).start()"])
def test_a_program_ends_as_in_python(ending, tmp_path):
    """The same status, and the same traceback, with no line of the runner's."""
    write(tmp_path / "later.py", "def f():\n    raise ValueError('later')\nf()")
    write(tmp_path / "script.py", f"import atexit, sys, threading, traceback\n{ending}\n")
    assert python("script.py", folder=tmp_path) == run("script.py", folder=tmp_path)


@pytest.mark.parametrize("ending", ["sys.exit(3)", "1 / 0", "from later import f; f()"])
def test_a_module_ends_as_in_python(ending, tmp_path):
    """The same status; Python itself shows some lines of its own before the module's, which the runner does not."""
    write(tmp_path / "later.py", "def f():\n    raise ValueError('later')")
    write(tmp_path / "script.py", f"import sys\nprint(1)\n{ending}\n")
    status, out, err = run("-m", "script", folder=tmp_path)

    assert (status, out) == python("-m", "script", folder=tmp_path)[:2]
    assert not {"runner", "frozen"} & set(re.findall("[a-z]+", err))


@pytest.mark.skipif(os.name == "nt", reason="this machine has no POSIX signals")
def test_ctrl_c(tmp_path):
    """The process ends by the signal, as Python does: the shell's loop around it stops too."""
    write(tmp_path / "script.py", "print('begin', flush=True)\nimport time\ntime.sleep(100)")
    process = subprocess.Popen([sys.executable, "-m", "minicaffe.pycaffe", tmp_path / "script.py"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert -signal.SIGINT == process.returncode
    assert re.fullmatch(r"Traceback (?!.*runner).*KeyboardInterrupt\n", err, re.DOTALL)


@pytest.mark.skipif(os.name == "nt", reason="this machine has no POSIX shell")
@pytest.mark.parametrize(("line", "words"), [
    ("mkdir gone && cd gone && rmdir ../gone && {0} ../script.py", "the current folder is gone"), ("{0} <&-", "")])
def test_what_python_itself_needs_is_missing(line, words, tmp_path):
    """A current folder that was deleted, and an input that is closed."""
    write(tmp_path / "script.py", "")
    line = line.format(f"{shlex.quote(sys.executable)} -m minicaffe.pycaffe")
    run = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False,
                         env={**os.environ, "PYTHONPATH": alias.PACKAGE_LIES_IN})
    assert (1 if words else 0) == run.returncode
    assert words in run.stderr
    assert "Traceback" not in run.stderr


def test_what_cannot_be_run_is_one_message(tmp_path):
    """Each is one message with status 1, which names the near file or the right form."""
    write(tmp_path / "script.py", "")
    write(tmp_path / "package" / "__init__.py", "")
    write(tmp_path / "folder" / "a.txt", "")
    cases = ((["skript.py"], "'script.py'"), (["nothing/x.py"], "No such file"), (["folder"], "__main__.py"),
             ([""], "__main__.py"),
             (["-m", "nothing"], "no module 'nothing'"), (["-m", "script.py"], "pycaffe script.py"),
             (["-m", "package"], "no module __main__"), (["-m", "package.no"], "'package.no'"),
             (["-m", "a..b"], "'a..b'"), (["-m", "sys"], "no Python code"), (["-m"], "expects"),
             (["-c"], "expects"), (["-u", "script.py"], "python -u -m"), (["--verbose"], "--help"))
    each = write(tmp_path / "each.py", f"""
        import sys
        from minicaffe.pycaffe import runner
        for args, words in {cases}:
            sys.argv = ["", *args]
            try:
                runner.main()
            except SystemExit as end:
                assert end.code.startswith("minicaffe.pycaffe: error: ") and words in end.code, (args, end.code)
            else:
                raise AssertionError(args)
    """)

    assert (0, "", "") == python(each, folder=tmp_path)
    assert (1, "", "minicaffe.pycaffe: error: -m expects the name of a module\n") == run("-m", folder=tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="this machine has no POSIX terminals")
def test_a_prompt(tmp_path):
    """Without a program, and at a terminal, the prompt of Python comes; it ends with its own status."""
    import pty

    terminal, programs_end = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "minicaffe.pycaffe"], cwd=tmp_path, stdin=programs_end,
                               stdout=programs_end, stderr=programs_end)
    os.close(programs_end)
    os.write(terminal, b"import caffe; print(caffe.__name__ * 2)\n1 / 0\nexit(3)\n")
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal says that its program has ended
        while part := os.read(terminal, 4096):
            shown += part
    os.close(terminal)

    assert 3 == process.wait(timeout=60)
    assert b"minicaffe.pycaffeminicaffe.pycaffe" in shown
    assert b"ZeroDivisionError" in shown


@pytest.mark.parametrize("line", ["return caffe.Net('nowhere.prototxt', caffe.TEST)",
                                  "net.blobs['x'].reshape(2, 3); net.reshape()"])
def test_an_error_of_ours_shows_the_users_lines(line, tmp_path):
    """The traceback ends where the script called minicaffe; the message follows."""
    write(tmp_path / "nowhere.prototxt.txt", """
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 } } }
        layer { name: "y" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 1 axis: 0 } }
    """)
    write(tmp_path / "script.py", f"""
        import caffe
        net = caffe.Net("nowhere.prototxt.txt", caffe.TEST)
        def load():
            {line}
        load()
    """)
    status, _, err = run("script.py", folder=tmp_path)

    assert 1 == status
    assert ["script.py", "script.py"] == [line.split('"')[1].rpartition(os.sep)[2] for line in err.splitlines()
                                          if line.startswith("  File")]
    assert re.search(r"^minicaffe\.errors\.\w+: .*nowhere\.prototxt.*", err, re.MULTILINE)


def test_help(tmp_path):
    """The page shows each form."""
    status, out, err = run("--help", folder=tmp_path)

    assert (0, "") == (status, err)
    assert all(form in out for form in ("-c CODE", "-m MODULE", "SCRIPT", "jupyter"))
    assert max(map(len, out.split("\n"))) <= 80


# --- child processes -----------------------------------------------------------------------------------------------

@pytest.mark.skipif(os.name == "nt", reason="this machine starts processes in one way only")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes_import_caffe(method, tmp_path):
    """However they are started, and although another caffe stands in front of the path."""
    write(tmp_path / "root" / "caffe" / "__init__.py", OTHER_CAFFE)
    write(tmp_path / "script.py", """
        import sys, os
        sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "root"))
        import caffe
        import concurrent.futures, multiprocessing

        class Job:
            def __init__(self, number):
                self.number = number

        def work(job):
            import caffe.proto
            assert type(job) is Job and caffe.proto.__name__ == "minicaffe.pycaffe.proto"
            return job.number + 1

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            with context.Pool(1) as pool:
                print(pool.map(work, [Job(2), Job(5)]))
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                print(list(pool.map(work, [Job(7)])))
    """)
    options = ["-W", "error", "-W", "ignore::DeprecationWarning"]  # Python warns of fork in a process with threads

    assert (0, "[3, 6]\n[8]\n", "") == run("script.py", method, folder=tmp_path, options=options)


def test_programs_that_a_script_starts_import_caffe(tmp_path):
    """Their sys.path is as it would be, the user's PYTHONPATH and sitecustomize count; grandchildren have it too."""
    write(tmp_path / "user" / "sitecustomize.py", "import sys\nsys.users = 'mine'")
    write(tmp_path / "user" / "helper.py", "")
    write(tmp_path / "root" / "caffe.py", OTHER_CAFFE)
    child = write(tmp_path / "child.py", """
        import subprocess, sys
        import helper
        before = list(sys.path)
        print(before, sys.users)
        sys.path.insert(0, "root")
        if sys.argv[1:]:
            import caffe
            print(caffe.__name__, flush=True)
            sys.exit(subprocess.call([sys.executable, "-W", "error", "child.py"] + sys.argv[2:]))
    """)
    write(tmp_path / "script.py", """
        import subprocess, sys
        sys.exit(subprocess.call([sys.executable, "-W", "error", "child.py", "1", "2"]))
    """)
    env = {"PYTHONPATH": str(tmp_path / "user")}
    plain = python(child, folder=tmp_path, env=env)[1]
    named = "minicaffe.pycaffe\n"

    assert "mine" in plain
    assert (0, plain + named + plain + named + plain, "") == run("script.py", folder=tmp_path, env=env)


def test_a_child_without_minicaffe_starts_as_before(tmp_path):
    """Another Python, in which there is no minicaffe, says nothing of it."""
    write(tmp_path / "without" / "minicaffe.py", "raise ImportError")
    write(tmp_path / "script.py", """
        import os, subprocess, sys
        os.environ["PYTHONPATH"] += os.pathsep + "without"
        code = "import sys; print([name for name in sys.modules if 'caffe' in name], 'startup' in str(sys.path))"
        sys.exit(subprocess.call([sys.executable, "-W", "error", "-c", code]))
    """)

    assert (0, "[] False\n", "") == run("script.py", folder=tmp_path)


# --- programs that people run --------------------------------------------------------------------------------------

def test_unittest(tmp_path):
    """As pycaffe's own tests are run."""
    write(tmp_path / "test_net.py", """
        import unittest
        import caffe

        class Test(unittest.TestCase):
            def test_name(self):
                self.assertEqual(caffe.__name__, "minicaffe.pycaffe")
    """)
    status, _, err = run("-m", "unittest", "test_net", folder=tmp_path)

    assert 0 == status
    assert re.search(r"Ran 1 test .*\n\nOK\n$", err)


# --- scripts for Python 2 ------------------------------------------------------------------------------------------

def test_a_script_for_python_2_is_told_so(tmp_path):
    """Python's own traceback stays as it is; one line follows, for the script and for what it imports."""
    write(tmp_path / "old.py", "import caffe\nprint 'a'\n")
    write(tmp_path / "imports_old.py", "import caffe\nimport old\n")
    write(tmp_path / "runs.py", "import caffe\nfor i in xrange(3):\n    print(i)\n")
    for name, line in (("old.py", "old.py:2: this is Python 2: print"), ("imports_old.py", "old.py:2: this is"),
                       ("runs.py", "runs.py:2: this is Python 2: there is no xrange now: write range")):
        status, out, err = run(name, folder=tmp_path)
        caffe = {"PYTHONPATH": write(tmp_path / "other" / "caffe.py", "").parent}

        assert (1, "") == (status, out)
        *traceback, last = err.splitlines(keepends=True)
        assert last.startswith(line)
        assert python(name, folder=tmp_path, env=caffe)[2] == "".join(traceback)


def test_a_cure_is_given_once(tmp_path):
    """Where the note of a Python layer gives it already, it does not follow a second time."""
    write(tmp_path / "layer.py", """
        import caffe

        class Old(caffe.Layer):
            def setup(self, bottom, top):
                xrange(3)

        net = caffe.proto.caffe_pb2.NetParameter()
        layer = net.layer.add(name="old", type="Python", top=["x"])
        layer.python_param.module, layer.python_param.layer = "layer", "Old"
        if __name__ == "__main__":
            caffe.Net(net, caffe.TEST)
        """)
    _, _, err = run("layer.py", folder=tmp_path, env={"GLOG_minloglevel": "3"})

    assert 1 == err.count("there is no xrange now")


FORKS = {
    "text_format.Merge('layer { multi_stage_meanfield_param { } }', pb.NetParameter())":
        "'multi_stage_meanfield_param' belongs to the CRF-RNN fork",
    "pb.LayerParameter().triplet_loss_param": "'triplet_loss_param' belongs to the face recognition forks",
    "pb.LayerParameter(data_temporal_param={})": "'data_temporal_param' belongs to MyCaffe",
    "pb.LayerParameter().HasField('triplet_loss_param')": "'triplet_loss_param' belongs to the face recognition forks",
    "pb.TripletLossParameter()": "'triplet_loss_param' belongs to the face recognition forks",
    "from caffe.proto.caffe_pb2 import NormalParameter": "",
    "from caffe.proto.caffe_pb2 import TripletLossParameter": "'triplet_loss_param' belongs to the face recognition",
    "pb.LayerParameter().triplet_los_param": "",
    "raise ValueError('triplet_loss_param')": "",
}


def test_the_fork_of_a_field_is_named(tmp_path, capsys):
    """A script that is written for the messages of a fork ends with an error of protobuf's, which knows no forks."""
    begin = "from caffe.proto import caffe_pb2 as pb\nfrom google.protobuf import text_format\n"
    for code, words in FORKS.items():
        try:
            exec(begin.replace("caffe.", "minicaffe.pycaffe.") + code.replace("caffe.", "minicaffe.pycaffe."), {})
        except Exception as error:
            said = runner.cure(error)
        assert said.startswith(words) if words else not said, (code, said)

    write(tmp_path / "ssd.py", begin + next(iter(FORKS)))
    assert run("ssd.py", folder=tmp_path)[2].endswith("fork; Caffe itself has no such field\n")


def test_a_notebook_is_no_script(tmp_path):
    """The error says how to open and how to run it."""
    write(tmp_path / "a.ipynb", "{}")
    status, _, err = run("a.ipynb", folder=tmp_path)

    assert 1 == status
    assert "-m jupyter notebook a.ipynb" in err


def test_a_module_of_caffes_runs(tmp_path):
    """`-m caffe.x` runs the module as the main program, in a program that a script starts, too."""
    folder = write(tmp_path / "at" / "sitecustomize.py", "").parent
    again = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-m', 'caffe.classify', '--help']))"
    for args in (["-m", "caffe.classify", "--help"], ["-c", again]):
        status, out, err = run(*args, folder=folder)
        assert (0, "") == (status, err)
        assert "usage: python -m minicaffe.pycaffe.classify" in out
