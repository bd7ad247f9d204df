"""The notebook examples/notebooks/first_net, run cell by cell as Jupyter runs it, and what stands below its cells."""

import json
import re
import shutil
from pathlib import Path

import pytest
from extras import needs

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOK = EXAMPLES / "notebooks" / "first_net" / "first_net.ipynb"


def run(notebook, folder):
    """What stands below the cells of a notebook, given as JSON, after it was run in a folder."""
    for package in ("nbclient", "ipykernel"):
        needs(package)
    import nbformat
    from nbclient import NotebookClient

    made = nbformat.reads(notebook, as_version=4)
    NotebookClient(made, timeout=600, startup_timeout=600, kernel_name="python3", allow_errors=True,
                   resources={"metadata": {"path": str(folder)}}).execute()
    return [cell.outputs for cell in made.cells if cell.cell_type == "code"]


def cells(*sources):
    code = [{"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source}
            for source in sources]
    return json.dumps({"cells": code, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})


def test_it_is_stored_without_outputs():
    code = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]

    assert 10 == len(code)
    assert [] == [cell for cell in code if cell["outputs"] or cell["execution_count"]]


@pytest.mark.slow
def test_the_notebook(tmp_path):
    """No cell fails. Below them stand the drawing and table of the net, formulas, images, heat maps and curves."""
    here = tmp_path / "notebooks" / "first_net"
    shutil.copytree(NOTEBOOK.parent, here)
    shutil.copytree(EXAMPLES / "fashion_mnist" / "subset", tmp_path / "fashion_mnist" / "subset")
    done = run(NOTEBOOK.read_text(encoding="utf-8"), here)
    wrong = [output for outputs in done for output in outputs
             if output.output_type == "error" or output.get("name") == "stderr"]
    assert [] == wrong

    imports, net, layer, arrays, data, conv, training, solver, filters, accuracy = done
    html = {name: outputs[-1].data["text/html"] for name, outputs in
            {"net": net, "layer": layer, "data": data, "conv": conv, "training": training, "solver": solver,
             "filters": filters}.items()}
    assert [] == imports
    assert arrays[0].text == "train (5000, 28, 28)\nt10k (1000, 28, 28)\n"
    assert 'class="net-drawing"' in html["net"]
    assert "<td>conv</td><td>Convolution</td><td>data → conv</td><td>100×12×24×24</td>" in html["net"]
    assert "Forward   y[n, k, o] = b[k]" in html["layer"]
    assert 16 == html["data"].count("<img")
    assert 24 == html["conv"].count("<img") == html["filters"].count("<img")
    assert 1 == len(training)
    assert "iteration 400 of 400" in html["training"]
    assert 2 == html["training"].count("<svg")
    assert 200 == re.search(r'class="train" d="([^"]+)"', html["training"])[1].count(" ")  # points, each of two losses
    assert 1 == html["solver"].count("<svg")
    assert float(accuracy[0].data["text/plain"]) > 0.8


@pytest.mark.slow
def test_errors_and_interrupts(tmp_path):
    """An error is its message. After an interrupt the curve is up to date, and the training can go on."""
    shutil.copytree(NOTEBOOK.parent, tmp_path / "net")
    typo, _, stopped, further = run(cells(
        "from minicaffe import Net\nNet('net.prototyxt')",
        "import numpy as np\nfrom minicaffe.notebook import watch\nfrom minicaffe.solvers import get_solver\n"
        "solver = get_solver('solver.prototxt')\n"
        "for net in (solver.net, *solver.test_nets):\n"
        "    net.layers[0].reset(np.ones((100, 1, 28, 28)), np.zeros(100))",
        "import signal\n"
        "def interrupt():\n    if solver.iter == 7:\n        signal.raise_signal(signal.SIGINT)\n"
        "watch(solver)\nsolver.on_update.append(interrupt)\nsolver.solve()",
        "watch(solver)\nsolver.step(5)"), tmp_path / "net")

    assert typo[0].traceback == [
        "\x1b[31mProtoError\x1b[0m: no such file: net.prototyxt\n"
        "  hint: did you mean 'net.prototxt' or 'solver.prototxt'?",
        "  line 2 of this cell: Net('net.prototyxt')"]
    assert "iteration 7 of 400" in stopped[0].data["text/html"]
    assert "KeyboardInterrupt" == stopped[1].ename
    assert "iteration 12 of 400" in further[0].data["text/html"]
