"""`import caffe` in notebooks: after one line, or without any where the server is started by the runner."""

import os
import subprocess
import sys

import pytest
from extras import needs

USES = "import caffe, caffe.net, subprocess, sys\n" \
       "print(caffe.__name__)\n" \
       "print(subprocess.check_output([sys.executable, '-c', 'import caffe; print(caffe.__name__)'], text=True))"
BOTH = "minicaffe.pycaffe\nminicaffe.pycaffe\n\n"


def test_load_ext(tmp_path):
    """One line of a notebook, which may be run again; programs that the notebook starts have it, too."""
    needs("IPython")
    code = "from IPython.core.interactiveshell import InteractiveShell\n" \
           "shell = InteractiveShell.instance()\n" \
           f"for line in ('%load_ext minicaffe.pycaffe', '%reload_ext minicaffe.pycaffe', {USES!r}):\n" \
           "    shell.run_cell(line).raise_error()\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
                          env={**os.environ, "IPYTHONDIR": str(tmp_path)})

    assert (BOTH, "") == (done.stdout, done.stderr)


def test_the_cure_of_an_old_cell(tmp_path):
    """It stands below the cell's error, by the line of the cell; a line of Python 3 is not spoken of."""
    needs("IPython")
    code = "from IPython.core.interactiveshell import InteractiveShell\n" \
           "shell = InteractiveShell.instance()\n" \
           "for cell in ('%load_ext minicaffe.pycaffe', '%reload_ext minicaffe.pycaffe', 'x = 1\\nprint x',\n" \
           "             'for i in xrange(3): pass', '1 / 0', 'x'):\n" \
           "    shell.run_cell(cell)\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
                          env={**os.environ, "IPYTHONDIR": str(tmp_path)})

    assert ["line 2 of the cell: this is Python 2: print is a function now: write print(x)",
            "line 1 of the cell: this is Python 2: there is no xrange now: write range"] == done.stderr.splitlines()


@pytest.mark.slow
def test_a_notebook_of_a_server_started_by_the_runner(tmp_path):
    """Its kernel is a process of its own; the notebook says `import caffe` as it always did."""
    needs("nbclient")
    needs("ipykernel")
    import nbformat

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(USES)])
    nbformat.write(book, tmp_path / "a.ipynb")
    # what the command `jupyter execute` does, which stands where the packages' commands have been installed
    code = "from nbclient.cli import main; main()"
    subprocess.run([sys.executable, "-m", "minicaffe.pycaffe", "-c", code, "--inplace", "a.ipynb"], cwd=tmp_path,
                   capture_output=True, check=True)
    (cell,) = nbformat.read(tmp_path / "a.ipynb", as_version=4).cells

    assert BOTH == "".join(output.text for output in cell.outputs)
