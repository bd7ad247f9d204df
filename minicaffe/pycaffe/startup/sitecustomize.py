"""Make `import caffe` work in a Python program that a script or a notebook starts.

Python imports the first sitecustomize along its path. `alias.install` puts this folder in front of PYTHONPATH, so that
it is this one. It takes its folder off sys.path again, and runs the user's own sitecustomize, if there is one.
The program may run in another Python, even Python 2, that has no minicaffe. There this file does only that.
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
