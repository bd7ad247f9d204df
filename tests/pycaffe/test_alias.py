"""`import caffe` after `alias.install()`. Each program runs in a process of its own, which then has the alias."""

import subprocess
import sys
import textwrap

import pytest


def run(code, *options, cwd=None):
    code = "from minicaffe.pycaffe import alias\nalias.install()\n" + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-W", "error", *options, "-c", code], capture_output=True, text=True,
                          check=False, cwd=cwd)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


@pytest.mark.parametrize(("first", "second"), [("caffe", "minicaffe.pycaffe"), ("minicaffe.pycaffe", "caffe")])
def test_a_module_is_one_object_under_both_names(first, second):
    """No module is loaded twice, whichever name is imported first, and it keeps what it says of itself."""
    run(f"""
        import sys
        from importlib import import_module
        for name in ("net", "solver", "python_layer", "alias"):
            import_module("{first}." + name)
            module = import_module("{second}." + name)
            caffe, ours = import_module("caffe"), import_module("minicaffe.pycaffe")
            assert caffe is ours and getattr(caffe, name) is module is sys.modules["caffe." + name]
            assert module.__name__ == module.__spec__.name == "minicaffe.pycaffe." + name
            assert module.__package__ == "minicaffe.pycaffe" and ours.__spec__.name == "minicaffe.pycaffe"
    """)


def test_installing_imports_nothing_heavy():
    """A notebook that begins with the alias does not wait for numpy or protobuf."""
    loaded = run("""
        import sys
        alias.install()
        import caffe
        print(*sys.modules)
        assert 1 == sum(type(finder).__name__ == "AliasFinder" for finder in sys.meta_path)
    """).split()

    assert set() == set(loaded) & {"numpy", "google", "google.protobuf", "minicaffe.net", "minicaffe.proto"}


def test_it_comes_before_other_modules_of_the_name(tmp_path):
    """A folder `caffe` along sys.path is not imported, even if the script puts it in front and clears sys.modules."""
    (tmp_path / "caffe").mkdir()
    (tmp_path / "caffe" / "__init__.py").write_text("raise SystemExit('the other one')")
    run("""
        import sys
        sys.path.insert(0, ".")
        import caffe
        before = caffe
        del sys.modules["caffe"]
        import caffe, minicaffe
        assert caffe is before is minicaffe.pycaffe
    """, cwd=tmp_path)


def test_another_caffe_that_is_imported_stays(tmp_path):
    """The error says where it comes from."""
    (tmp_path / "caffe.py").write_text("mine = 1")
    run("""
        import sys
        del sys.modules["caffe"]
        sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "AliasFinder"]
        import caffe
        assert caffe.mine == 1
        try:
            alias.install()
        except RuntimeError as error:
            assert "caffe.py" in str(error) and "restart" in str(error), error
        else:
            raise AssertionError
        assert sys.modules["caffe"] is caffe
    """, cwd=tmp_path)


def test_only_within_a_block(tmp_path):
    """A command that has run in this process leaves no alias behind, and removes none that was there before."""
    (tmp_path / "caffe.py").write_text("mine = 1")
    run("""
        import os, subprocess, sys
        with alias.installed():
            import caffe.net
        assert caffe.net is sys.modules["caffe.net"]
        del sys.modules["caffe"], sys.modules["caffe.net"]
        sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "AliasFinder"]
        child = [sys.executable, "-c", "import caffe; print(caffe.__name__)"]
        os.environ.pop("PYTHONPATH")
        for path in ({"PYTHONPATH": "x"}, {}):
            before = list(sys.meta_path), {**os.environ, **path}
            os.environ.update(path)
            with alias.installed():
                import caffe.net, minicaffe.pycaffe
                assert caffe is minicaffe.pycaffe
                assert "minicaffe.pycaffe" == subprocess.check_output(child, text=True).strip()
            assert before == (sys.meta_path, dict(os.environ))
            os.environ.pop("PYTHONPATH", None)
        assert "caffe" not in sys.modules and "caffe.net" not in sys.modules
        import caffe
        assert 1 == caffe.mine
        with alias.installed():
            import caffe
            assert 1 == caffe.mine
    """, cwd=tmp_path)


def test_blocks_in_several_threads(tmp_path):
    """The first thread that leaves takes the alias from no other; after the last one it is gone."""
    run("""
        import os, sys, threading
        sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "AliasFinder"]
        del sys.modules["caffe"], os.environ["PYTHONPATH"]
        inside, left, said = threading.Event(), threading.Event(), []
        def other():
            with alias.installed():
                inside.set()
                left.wait(30)
                import caffe.coord_map
                said.append(caffe.coord_map.__name__)
        thread = threading.Thread(target=other)
        with alias.installed():
            thread.start()
            inside.wait(30)
        left.set()
        thread.join()
        assert said == ["minicaffe.pycaffe.coord_map"], said
        assert "caffe" not in sys.modules and "PYTHONPATH" not in os.environ
        with alias.installed():
            alias.install()
        import caffe.net
    """, cwd=tmp_path)


def test_a_block_leaves_the_name_that_a_script_has_given():
    """Some scripts say sys.modules["caffe"] = minicaffe.pycaffe; a net with Python layers must not undo that."""
    run("""
        import sys
        sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "AliasFinder"]
        from minicaffe import pycaffe
        sys.modules["caffe"] = pycaffe
        with alias.installed():
            import caffe.net
        assert sys.modules["caffe"] is pycaffe and sys.modules["caffe.net"] is pycaffe.net
    """)


def test_a_module_that_is_not_there():
    """A fork's module is a ModuleNotFoundError with its name, so a library that only tries it goes on."""
    run("""
        for name in ("caffe.model_libs", "caffe.model_libs.deeper", "caffe.proto.nothing"):
            try:
                __import__(name)
            except ModuleNotFoundError as error:
                assert name.startswith(error.name) and "fork" in str(error), error
            else:
                raise AssertionError(name)
    """)


def test_what_else_asks_for_modules():
    """Reloading, pickling, and looking for a module without importing it work by either name."""
    run("""
        import importlib, importlib.util, pickle, pkgutil
        import caffe
        import caffe.net
        assert importlib.reload(caffe) is caffe and importlib.reload(caffe.net) is caffe.net
        assert importlib.util.find_spec("caffe").origin == caffe.__file__
        assert importlib.util.find_spec("caffe.solver").origin.endswith("solver.py")
        assert pickle.loads(pickle.dumps(caffe.Net)) is caffe.Net
        assert pickle.loads(b"ccaffe.net\\nNet\\n.") is caffe.Net
        assert "net" in {found.name for found in pkgutil.iter_modules(caffe.__path__)}
    """)


def test_many_threads_import_at_once():
    """Every thread gets the whole module, and all the same one."""
    run("""
        import sys, threading
        sys.setswitchinterval(1e-6)
        found, start = [], threading.Barrier(8)
        def load():
            start.wait()
            from caffe.solver import get_solver
            import caffe.solver
            found.append((get_solver, caffe.solver))
        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert 8 == len(found) and 1 == len(set(found))
    """)


def test_a_script_that_fills_sys_modules_itself(tmp_path):
    """No module is loaded twice, though nothing was installed; a caffe that is not ours finds its own modules."""
    code = """if True:
        import sys
        from minicaffe import pycaffe
        sys.modules["caffe"] = pycaffe
        import caffe.net_spec, caffe.io
        from caffe.proto import caffe_pb2
        from minicaffe.pycaffe import io, net_spec
        from minicaffe.pycaffe.proto import caffe_pb2 as ours
        assert caffe.net_spec is net_spec and caffe.io is io is sys.modules["caffe.io"] and caffe_pb2 is ours
        for name in [name for name in sys.modules if name.partition(".")[0] == "caffe"]:
            del sys.modules[name]
        sys.path.insert(0, sys.argv[1])
        from caffe.other import WORDS
        assert WORDS == "not ours"
    """
    other = tmp_path / "caffe"
    other.mkdir()
    (other / "__init__.py").touch()
    (other / "other.py").write_text("WORDS = 'not ours'")
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, tmp_path], capture_output=True, text=True,
                          check=False)

    assert (0, "") == (done.returncode, done.stderr)
