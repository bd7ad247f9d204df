"""What is said of scripts for Python 2, and for the packages of its time."""

import re
import sys

import numpy as np
import pytest

from minicaffe import python2


def hint_of(tmp_path, text, name="script.py"):
    """What is said of the error with which a script of this text ends."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    try:
        exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), {"__name__": "script"})
    except Exception as error:
        return python2.hint(error).replace(str(path), name)
    raise AssertionError(f"no error: {text}")


PRINT = "write print("
LINES = {
    'print "a %d" % 3': PRINT, "print x, y": PRINT, "if x: print 'a'": PRINT, "print'a'": PRINT,
    "a = 1; print a": PRINT,
    "print [a for a in b]": PRINT, "print -1, `x`": "repr(x)", 'print >>f, "x" % x,; 1 <> 2': "file=f",
    'exec "x = 1"': "exec(code", "exec code in names": "exec(code", "try: x\nexcept E, e: raise": "except X as e",
    "try: x\nexcept (A, B), e:\n  pass": "except X as e", "try: x\nexcept os.error, (a, b): pass": "except X as e",
    "x = `y`": "repr(x)", "if a <> b: pass": "!=", "os.chmod(f, 0777)": "0o777", "n = 10L": "10L", "n = 0xFFL": "10L",
    'raise E, "words"': 'raise E("x")', "raise a[0], a[1], a[2]": 'raise E("x")', 's = ur"x"': "ur",
    "def f(a, (b, c)): pass": "no tuple", "g = lambda (a, b): a": "no tuple", "f(async=True)": "another name",
    "if x:\n        y = 1\n\tz = 2": "columns", "if x:\n    if y:\n\tz = 2\n    w = 1": "columns",
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_python_3_cannot_read(line, tmp_path):
    """The file, the line and what to write; on Python 3.14, `except A, B:` can be read, and fails later."""
    if sys.version_info >= (3, 14) and "except" in line:
        assert python2.python2_lines(line)
        return
    said = hint_of(tmp_path, f"import os\n\n{line}\n")

    assert re.match(r"script\.py:[3-9]: this is Python 2: ", said), said
    assert LINES[line] in said


@pytest.mark.parametrize("text", [
    '"""print x"""', "s = 'print x' # print `x` <> 0777", "print(x)", "print (x), y", "print = 3", "x = print",
    "x = [print, exec]", "1e-08 + 0.07 + 00 + 1e+07", "exec(x)", "raise E(a, b)", "raise E", "lambda x: (x, 1)",
    "def f(a=(1, 2), b=f(x)): pass", "lambda x=(1, 2): x", "except_ = 1, 2", "try: x\nexcept (A, B) as e: pass",
    "x = 'a\\'print x'", "print\nx", "async def f(): pass", "r'\\'; x = 'print y'", "d[a:print]", "'''a\nprint x\n'''",
    "f'{x}`'"])
def test_lines_that_are_python_3(text):
    """Nothing is found in them."""
    assert {} == python2.python2_lines(text)


def test_the_lines_are_counted_and_a_converter_is_named(tmp_path, monkeypatch):
    """The converter's command can be copied as it stands, also where the name has blanks."""
    monkeypatch.chdir(tmp_path)
    text = 'import os\nprint "a"\nprint """b\nprint c""", `d`\nx = 0777\nprint(3)\n'
    said = hint_of(tmp_path, text, "my script.py")

    assert {2: PRINT, 3: PRINT, 4: "repr", 5: "0o"} == {n: re.search(r"write print\(|repr|0o", cure)[0]
                                                        for n, cure in python2.python2_lines(text).items()}
    assert said.startswith("my script.py:5: this is Python 2, as are 3 other lines: a number")
    assert said.endswith("pip install fissix, then python -m fissix -x sorted -w 'my script.py'")
    assert "Python 2, as is 1 other line: print" in hint_of(tmp_path, "print 1\nprint 2")


def test_other_mistakes_are_not_called_python_2(tmp_path):
    """A slip in a script for Python 3 is left to Python's own words."""
    for text in ("x = = 1", "def f(:", "if x\n  pass", "if x:\n  y\n z", "x = 'abc", "undefined", "import nowhere",
                 "{}['print']", "import os\nos.nothing", "''.nothing", "raise TypeError", "1 / 0", "from os import no"):
        assert not hint_of(tmp_path, text)
    assert "IPython" in hint_of(tmp_path, "%matplotlib inline")
    assert 'r"C:' in hint_of(tmp_path, "x = 'C:\\Users'")


def test_an_error_without_a_file(tmp_path):
    """Code from a string, a file that is gone, and one in another encoding."""
    for code, name in (('print "x"', "<string>"), ('print "x"', str(tmp_path / "gone.py"))):
        with pytest.raises(SyntaxError) as caught:
            compile(code, name, "exec")
        assert "1: this is Python 2: print" in python2.hint(caught.value)
        assert "fissix" not in python2.hint(caught.value)
    path = tmp_path / "latin.py"
    path.write_bytes("# coding: latin-1\ns = 'ä'\nprint s".encode("latin-1"))
    with pytest.raises(SyntaxError) as caught:
        compile(path.read_bytes(), str(path), "exec")
    assert "latin.py:3: " in python2.hint(caught.value)
    assert not python2.hint(SyntaxError())


RUNS = {
    "xrange(3)": "range", "raw_input()": "write input", "unicode(1)": "write str", "reduce(max, [1])": "functools",
    "isinstance(1, (int, long))": "write int", "import cPickle as pickle": "import pickle",
    "import urllib2": "urllib.request", "from StringIO import StringIO": "BytesIO",
    "from itertools import izip": "write zip", "{}.iteritems()": "d.items()", "{}.has_key(1)": "key in d",
    "import collections\ncollections.OrderedDict().itervalues()": "d.values()",
    "import string\nstring.letters": "ascii_letters", "import itertools\nitertools.izip": "zip",
    "import sys\nsys.maxint": "sys.maxsize", "import time\ntime.clock()": "perf_counter", "iter([]).next()": "next(x)",
    "'x'.decode('utf-8')": "open(file, 'rb')", "range(7 / 2)": "//", "x = [1, 2, 3]\nx[4 / 2]": "//",
    "[1, 2][:2 / 2]": "//", "import numpy as np\nnp.zeros(4 / 2)": "//", "import numpy as np\nnp.ones(3)[4 / 2]": "//",
    "import sys\nprint >>sys.stdout, 'x'": "file=f", "print ('%d') % 3": "print(text % x)", "{1: 2}.keys()[0]": "list(",
    "len(map(abs, [1]))": "list(", "import random\nrandom.shuffle(range(5))": "list(", "range(3) + [4]": "list(",
    "[4] + range(3)": "list(", "{}.keys().sort()": "sorted(d)", "sorted([None, 3])": "no order",
    "[1].sort(cmp=max)": "cmp_to_key", "import io\nio.StringIO().write(b'x')": "'rb' or 'wb'",
    "import io\nio.BytesIO().write('x')": "'rb' or 'wb'", "b'\\xff'.decode('utf-8')": "open(file, 'rb')",
    "range(3)[2 / 2]": "//",
    "import sys\nwith open(sys.executable, encoding='utf-8') as f:\n    f.read()": "open(file, 'rb')",
    "from google.protobuf import descriptor\ndescriptor.EnumValueDescriptor('TRAIN', 0, 0)": "caffe_pb2",
    "'{:>9}'.format((1, 2))": "{!s:>9}", "__package__ = ''\nfrom .beside import x": "without a dot",
    "import numpy as np\nnp.float": "write float", "import numpy as np\nnp.ones(2).astype(np.int)": "write int",
}
@pytest.mark.parametrize("code", RUNS)
def test_a_line_that_fails_when_it_runs(code, tmp_path):
    """The place is the script's line, also where the error is raised in a library."""
    said = hint_of(tmp_path, code)

    assert said.startswith(f"script.py:{1 + code.count(chr(10))}: ")
    assert RUNS[code] in said


def test_an_except_that_python_3_14_can_read(tmp_path):
    """There, `except E, e:` looks for a second class `e`, when an error comes."""
    path = tmp_path / "script.py"
    path.write_text("try: x\nexcept E, e:\n    pass", encoding="utf-8")
    with pytest.raises(NameError) as caught:
        exec(compile("\nundefined", str(path), "exec"), {})

    assert python2.hint(caught.value).endswith("script.py:2: this is Python 2: write except X as e:")


def test_an_import_of_a_neighbour(tmp_path, monkeypatch):
    """In a package, Python 2 took the module beside the importing one."""
    package = tmp_path / "neighbours"
    package.mkdir()
    (package / "__init__.py").write_text("import beside_me")
    (package / "beside_me.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError) as caught:
        __import__("neighbours")

    assert "neighbours/__init__.py:1: " in python2.hint(caught.value).replace("\\", "/")
    assert "from . import beside_me" in python2.hint(caught.value)


def test_what_packages_have_dropped():
    """The same for packages that need not be here: the hint goes by the names in the error."""
    for error, words in ((AttributeError("module 'numpy' has no attribute 'product'"), "numpy.prod"),
                         (AttributeError("x", name="tostring", obj=np.ones(2)), "tobytes"),
                         (ImportError("cannot import name 'imread' from 'scipy.misc' (x.py)"), "PIL.Image.open"),
                         (AttributeError("module 'scipy.misc' has no attribute 'imresize'"), "resize"),
                         (ImportError("attempted relative import with no known parent package"), "import x, or from"),
                         (AttributeError("module 'cv2' has no attribute 'cv'"), "INTER_NN is INTER_NEAREST"),
                         (ModuleNotFoundError("x", name="scipy.misc"), "PIL"),
                         (ModuleNotFoundError("x", name="progressbar"), "progressbar2"),
                         (ModuleNotFoundError("x", name="skimage.filter"), "skimage.filters"),
                         (ModuleNotFoundError("x", name="skimage"), "pip install scikit-image"),
                         (TypeError("load() missing 1 required positional argument: 'Loader'"), "safe_load"),
                         (TypeError("Won't implicitly convert Unicode to bytes; use .encode()"), "key.encode()"),
                         (TypeError("imread() got an unexpected keyword argument 'as_grey'"), "as_gray"),
                         (AttributeError("Rectangle.set() got an unexpected keyword argument 'normed'"), "density")):
        assert words in python2.hint(error)


def test_the_table_names_what_is_gone():
    """A name that Python 3 has is not in it."""
    import builtins
    import importlib.util

    from minicaffe.removed_names import ATTRIBUTES, MODULES, NAMES

    assert [] == [name for name in NAMES if hasattr(builtins, name)]
    assert [] == [name for name in MODULES if importlib.util.find_spec(name)]
    values = {"dict": {}, "dict_keys": {}.keys(), "dict_items": {}.items(), "dict_values": {}.values(),
              "range": range(1), "str": ""}
    for owner, names in ATTRIBUTES.items():
        value = values[owner] if owner in values else importlib.import_module(owner)
        assert [] == [name for name in names if hasattr(value, name)], owner
