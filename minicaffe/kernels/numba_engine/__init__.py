"""The kernels compiled by numba, for float32. Deleting this folder leaves a working framework.

From the bottom up: compiled.py (how functions are compiled), words.py (memory by address), pool.py (threads), task.py
(compiled tasks), pieces.py (how work is cut), registers.py, vectors.py, tiles.py and transforms.py (vector
instructions), layout.py, planes.py, interleaved.py, scattering.py, winograd.py and winograd_slices.py (correlations),
and a module for each family of kernels.
"""
