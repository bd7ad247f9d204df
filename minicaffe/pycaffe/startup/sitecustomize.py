"""What a child process of `python -m minicaffe.pycaffe` runs at its start: `import caffe` works in it, too.

Python imports the first sitecustomize along its path. The runner puts this folder in front of PYTHONPATH, so that it
is this one. It leaves sys.path as it would be without the runner, and runs the user's own sitecustomize, if any.
The child may be another Python, even Python 2: there this file does nothing but that.
"""

import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) != here]

try:
    from minicaffe.pycaffe import alias
except Exception:
    pass  # this Python has no minicaffe, or is too old for it
else:
    alias.install()

sys.modules.pop("sitecustomize", None)
import sitecustomize  # noqa: E402, F401 - the user's; Python itself accepts that there is none
