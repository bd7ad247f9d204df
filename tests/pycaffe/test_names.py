"""The names of Caffe's Python package: all are there, a name is one object in every module, and the import is quick."""

import os
import subprocess
import sys

import pytest

from minicaffe import pycaffe as caffe
from minicaffe.proto import TEST, TRAIN
from minicaffe.pycaffe import _caffe
from minicaffe.pycaffe import pycaffe as inner
from minicaffe.pycaffe.proto import caffe_pb2

SOLVERS = "SGDSolver NesterovSolver AdaGradSolver RMSPropSolver AdaDeltaSolver AdamSolver"
FUNCTIONS = "init_log log set_mode_cpu set_mode_gpu set_device get_solver layer_type_list set_random_seed " \
            "solver_count set_solver_count solver_rank set_solver_rank set_multiprocess has_nccl"
OF_CAFFE = f"Net {SOLVERS} NCCL Timer {FUNCTIONS} Layer TRAIN TEST Classifier Detector io layers params NetSpec " \
           "to_proto"
OF_EXTENSION = f"Net Blob Layer LayerParameter SolverParameter Solver {SOLVERS} NCCL Timer {FUNCTIONS} BlobVec " \
               "RawBlobVec LayerVec StringVec IntVec DtypeVec NetVec BoolVec __version__"


def test_what_caffe_has():
    """And so do `dir` and `from caffe import *`."""
    names = set(OF_CAFFE.split())

    assert set() == {name for name in names if getattr(caffe, name, None) is None}
    assert set() == names - set(dir(caffe))
    assert set() == names - set(caffe.__all__)


def test_what_the_extension_module_has():
    """What caffe itself has as well is the same thing."""
    names = OF_EXTENSION.split()

    assert [] == [name for name in names if not hasattr(_caffe, name)]
    assert [] == [name for name in names if getattr(caffe, name, getattr(_caffe, name)) is not getattr(_caffe, name)]


def test_what_the_inner_module_has():
    """`from caffe.pycaffe import Net` gives caffe.Net."""
    for name in f"Net {SOLVERS} NCCL Timer".split():
        assert getattr(inner, name) is getattr(caffe, name)


def test_star_import():
    """It brings everything that it brings in Caffe, modules included."""
    names = {}
    exec("from minicaffe.pycaffe import *", names)

    assert names["SGDSolver"] is caffe.SGDSolver
    assert names["proto"].caffe_pb2 is caffe_pb2
    assert {"classifier", "detector", "io", "net_spec", "pycaffe"} <= set(names)
    assert "_caffe" not in names


def test_phases_version_and_file():
    """The phases are those of the messages; scripts compare the version, and look for files beside the package."""
    assert (TRAIN, TEST) == (caffe.TRAIN, caffe.TEST) == (caffe_pb2.TRAIN, caffe_pb2.TEST)
    assert caffe.__version__ == _caffe.__version__ == "1.0.0"
    assert os.path.isdir(os.path.join(os.path.dirname(caffe.__file__), "proto"))


def test_messages_are_one_class():
    """A solver's param is a SolverParameter of caffe_pb2, and `_caffe` calls it the same."""
    assert _caffe.SolverParameter is caffe_pb2.SolverParameter
    assert _caffe.LayerParameter is caffe_pb2.LayerParameter


def test_a_name_that_there_is_not():
    """An AttributeError, so that `hasattr` and `getattr` with a default work."""
    assert not hasattr(caffe, "set_mode_opencl")


@pytest.mark.parametrize(("code", "words"), [
    ("import caffe; caffe.draw", "module 'caffe' has no attribute 'draw': write `import caffe.draw` first"),
    ("from minicaffe import pycaffe; pycaffe.draw", "write `import minicaffe.pycaffe.draw` first"),
    ("import caffe; caffe.Clasifier", "module 'caffe' has no attribute 'Clasifier'. Did you mean: 'Classifier'?")])
def test_the_cure_for_a_name_that_there_is_not(code, words):
    """A module that pycaffe, too, does not import by itself is named with the line; else a name that is like it."""
    runner = ["-m", "minicaffe.pycaffe"] if "import caffe" in code else []
    done = subprocess.run([sys.executable, *runner, "-c", code], capture_output=True, text=True)

    assert done.stderr.endswith(f"{words}\n")


@pytest.mark.parametrize(("asked", "absent"), [
    ("pycaffe.TRAIN", {"numpy", "google.protobuf", "minicaffe.net"}),
    ("import minicaffe.pycaffe.proto.caffe_pb2", {"minicaffe.net", "h5py", "cv2"}),
    ("pycaffe.Net", {"h5py", "lmdb", "cv2", "numba", "matplotlib", "minicaffe.solvers", "minicaffe.layers"})])
def test_nothing_is_loaded_in_vain(asked, absent):
    """Reading a name imports only what this name needs, and no optional package."""
    code = f"import sys; from minicaffe import pycaffe; {asked}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert "minicaffe.pycaffe" in loaded
    assert set() == absent & set(loaded)
