"""Kernels are written once: the function in their row is the definition, from which their sources follow.

`graph` reads a definition as operations, `plan` says in which loops they are done and where their results lie, and
`languages` writes that down in C and for Numba. The package needs the standard library only: setup.py runs it.
"""
