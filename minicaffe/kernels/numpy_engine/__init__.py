"""Kernels made quick with numpy alone.

Three means make them quick: BLAS multiplies images that are laid out as columns, threads share the work, and numbers
pass between memory and processor as few times as possible.

A docstring here says how an implementation is quick, and why. What it computes is said by the definition of the same
name. A kernel that is quick enough as it is defined is not here: then the engine runs the definition.
"""
