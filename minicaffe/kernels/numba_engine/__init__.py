"""numba twins of the kernels; deleting this folder leaves a working framework."""
