"""Kernels made quick with numpy alone: images as columns for BLAS, work shared out to threads, few passes over memory.

A docstring here says how an implementation is quick, and why; what it computes stands at the definition of the same
name. A kernel that is quick enough as it is defined is not here: the engine numpy runs its definition.
"""
