"""The primitives of numerics "portable", compiled by Numba: the same bits as those in C.

Their definitions are in `fastbp.kernels.portable`. Each loop has the C signature of abi.h, where ``args`` is
an array of pointers to one real type.
"""

import ctypes

from numba import cfunc, njit, types

from ..operations import ELEMENTARY, NUMBERS, PRIMITIVES
from .common import DENSE, DIGEST, OPTIONS, cached, itemsize, offset
from .elementary import apply
from .vectors import TILE_ROWS, VECTOR, is_set, pack_columns, run_tile, stack_vectors, sum_of

DEPTH = 512  # rows of a panel, 64 KiB at most: chains rest in y after as many steps
DEPTH_TN = 256  # where each step of a tile touches another page of a
PANEL = DEPTH * 2  # its vectors
SMALL = 4096  # elements of b up to which no panel pays

# never looked into; its name makes Numba's caches see changes of other files, as that of PRIMITIVES does
DATA = types.CPointer(types.Opaque(f"fastbp_data_{DIGEST[:16]}"))

# not `helper`: LLVM would optimise all tiles once more for each function around them
inlined = njit(inline="always", **OPTIONS)


@inlined
def row_tiles(a, a_row, a_column, b, b_row, panel, copy, y, y_row, m, k, n, vecs, resume, bias, add, relu):
    # tiles of nearly equal height; the first one copies b to the panel, the others take it from there
    first = 0
    for tiles in range((m + TILE_ROWS - 1) // TILE_ROWS, 0, -1):
        rows = (m - first + tiles - 1) // tiles
        left, out = offset(a, first * a_row), offset(y, first * y_row)
        run_tile(
            rows, vecs, left, a_row, a_column, b, b_row, panel, copy, out, y_row, k, n, resume, bias, add, relu
        )  # fmt: skip
        if copy:
            b, b_row, copy = panel, vecs * (VECTOR // itemsize(y)), False
        first += rows


@inlined
def pack(b, b_row, b_column, k, n, panel, width):
    # panel[p, j] = b[p, j]
    lanes = VECTOR // itemsize(b)
    if b_row == 1:
        for j in range(0, n, lanes):
            pack_columns(offset(b, j * b_column), b_column, k, min(n - j, lanes), offset(panel, j), width)
    else:
        for p in range(k):
            for j in range(n):
                panel[p * width + j] = b[p * b_row + j * b_column]


@inlined
def multiply(a, a_row, a_column, b, b_row, b_column, y, m, k, n, bias, add, relu):
    # y[i, j] is the chain acc = fma(a[i, p], b[p, j], acc) over p, from +0; then comes the bias, then relu
    lanes = VECTOR // itemsize(y)
    panel = stack_vectors(y, PANEL)
    by_rows = b_column == 1 or n == 1
    direct = by_rows and (m <= TILE_ROWS or k * n <= SMALL)
    # a flat tile is wide: fmas that do not wait for each other
    widest = 8 if direct and m == 1 else 4 if direct and m <= 3 else 2
    deepest = k if direct else DEPTH_TN if a_row == 1 else DEPTH
    start = 0
    while True:  # once for k = 0 too
        depth = min(k - start, deepest)
        last = start + depth == k
        j = 0
        while j < n:
            vecs = widest if n - j > (widest - 1) * lanes else 2 if n - j > lanes else 1
            width = min(vecs * lanes, n - j)
            left, right, right_row = offset(a, start * a_column), offset(b, start * b_row + j * b_column), b_row
            if not by_rows:
                pack(right, b_row, b_column, depth, width, panel, vecs * lanes)
                right, right_row = panel, vecs * lanes
            row_tiles(
                left, a_row, a_column, right, right_row, panel, by_rows and not direct, offset(y, j), n,
                m, depth, width, vecs, start > 0, offset(bias, j), last and add, last and relu,
            )  # fmt: skip
            j += width
        start += depth
        if last:
            break


def product(args, dimensions, steps, data):
    # MATMUL, or DENSE if data is set: one loop, for LLVM takes long over the tiles
    if is_set(data):
        m, k, n, relu = dimensions[0], dimensions[1], dimensions[2], dimensions[3] != 0
        a_row, a_column, b_row, b_column = k, 1, n, 1
        bias, y = args[2], args[3]
    else:
        m, k, n, relu = dimensions[1], dimensions[2], dimensions[3], False
        item = itemsize(args[0])
        a_row, a_column, b_row, b_column = steps[3] // item, steps[4] // item, steps[5] // item, steps[6] // item
        bias, y = args[2], args[2]
    multiply(args[0], a_row, a_column, args[1], b_row, b_column, y, m, k, n, bias, is_set(data), relu)


def sum_rows(args, dimensions, steps, data):
    x, y = args[0], args[1]
    x_row, y_row = steps[0] // itemsize(x), steps[1] // itemsize(y)
    for i in range(dimensions[0]):
        y[i * y_row] = sum_of(offset(x, i * x_row), dimensions[1])


def _elementary(name):
    def loop(args, dimensions, steps, data):
        apply(name, args, dimensions[0])

    loop.__name__ = loop.__qualname__ = name  # by which Numba's cache has a file for each
    return loop


LOOPS = {"matmul": product, "sum": sum_rows, "dense": product, **{f.name: _elementary(f.name) for f in ELEMENTARY}}

_tables = {}


def address(dtype):
    """Return the address of the portable primitives for one dtype, an array of ``fastbp_primitive`` (abi.h).

    Parameters
    ----------
    dtype : {"float32", "float64"}
    """
    if dtype not in _tables:
        real, index = getattr(types, dtype), types.CPointer(types.intp)
        signature = types.void(types.CPointer(types.CPointer(real)), index, index, DATA)
        compiled = {loop: cached(cfunc, loop, signature) for loop in dict.fromkeys(LOOPS.values())}
        table = (ctypes.c_void_p * (2 * len(PRIMITIVES)))()
        for name, loop in LOOPS.items():
            table[2 * NUMBERS[name]] = compiled[loop].address
        table[2 * DENSE + 1] = 1
        # setdefault: of two threads that compile at once, both return the table that is kept alive
        _tables.setdefault(dtype, (table, compiled))
    return ctypes.addressof(_tables[dtype][0])
