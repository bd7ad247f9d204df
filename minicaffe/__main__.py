"""`python -m minicaffe COMMAND ...` is `minicaffe COMMAND ...`, also where no such program is on the path."""

import sys

from minicaffe.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
