"""The table: one row for each op, and all that its readers need to know of it.

A row names the op, its family (the module that holds its kernels in each backend), its kernels with
their operands, the function of NumPy arrays that defines each, its attributes, domain and source. Tests, the
reference, the backends' loaders, the layers and losses, the documentation and the benchmark ids are all derived from
it. The package needs the standard library only, so that the table can be read where nothing is built.

Operands are written as in a signature: ``"dy[n], y[n] -> dx[n]"``. A letter or word in brackets is a
dimension; equal names are equal lengths. Where every operand with an n is a lone ``[n]``, the kernel is
elementwise and takes arrays of any one shape. The element type is the program's (float32 or float64)
unless ``:i8`` (int64), ``:u1`` (uint8) or ``:f8`` (float64) follows. An operand on both sides is updated
in place. A kernel's buffers are its operands in the order in which their names first appear, its sizes
the dimensions likewise.
"""

from __future__ import annotations

import copyreg
from typing import TYPE_CHECKING

from . import (
    activation,
    convolution,
    data,
    graph,
    image,
    loss,
    matmul,
    metric,
    norm,
    optimizer,
    pooling,
    random,
    update,
    weighting,
)
from .row import Bound, Kernel, Operand, Row

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "FAMILIES",
    "KERNELS",
    "TABLE",
    "Bound",
    "Kernel",
    "Operand",
    "Row",
]

_MODULES = (
    matmul, convolution, pooling, activation, norm, graph, random, image, loss, optimizer, weighting, update, data,
    metric,
)  # fmt: skip

#: The rows by name.
TABLE: dict[str, Row] = {row.name: row for module in _MODULES for row in vars(module).values() if isinstance(row, Row)}
#: The kernels of all rows by name.
KERNELS: dict[str, Kernel] = {name: kernel for row in TABLE.values() for name, kernel in row.kernels.items()}
#: Families in the order of the table: the names of the kernel modules in every backend.
FAMILIES = tuple(dict.fromkeys(row.family for row in TABLE.values()))


def kernel_of(name: str) -> Kernel:
    """Return a kernel by its name."""
    return KERNELS[name]


def _reduced(kernel: Kernel) -> Any:
    # there is one of each: the copy of a program names its kernels
    return (kernel_of, (kernel.name,)) if KERNELS.get(kernel.name) is kernel else object.__reduce_ex__(kernel, 2)


copyreg.pickle(Kernel, _reduced)
