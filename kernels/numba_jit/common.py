"""What every family of kernels shares: C pointers, arrays on the stack and the primitives.

A kernel reads like C: ``buffers[0]`` is a pointer, ``x[i]`` an element, and the functions here do what
Python has no notation for. `call` is the only way out of compiled code: it calls a primitive at its
run-time address, so that compiled kernels may be cached and numerics stays a choice of the caller.
"""

import hashlib
from math import inf
from pathlib import Path

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..operations import NUMBERS, Status

# the constants of operations.h that kernels written by hand name
MATMUL, SUM, DENSE, EXP, LOG, POW = (NUMBERS[name] for name in ("matmul", "sum", "dense", "exp", "log", "pow"))
OK, INDEX_ERROR, NOT_FINITE = int(Status.OK), int(Status.INDEX_ERROR), int(Status.NOT_FINITE)

BLOCK = 1024  # elements that stay in the L1 cache from one pass to the next

# all explicit: what is not set here would be inherited from a caller's @njit(fastmath=True)
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": False, "boundscheck": False}
helper = njit(**OPTIONS)

# Numba's cache sees changes of a kernel's own file only: the type of the primitives, which is a part of
# every signature, names the state of all files: sources, or what an installation has in their place (.pyc)
_HERE = Path(__file__).parent
_FILES = (_HERE, "*.py*"), (_HERE.parent, "operations.py*"), (_HERE.parent / "portable", "elementary.py*")
_SOURCES = [path for folder, pattern in _FILES for path in sorted(folder.glob(pattern))]
DIGEST = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()
PRIMITIVES = types.CPointer(types.Opaque(f"fastbp_primitive_{DIGEST[:16]}"))


def kernel_types(real):
    """Return the types of a kernel's four arguments (``fastbp_kernel`` in abi.h) for one real type."""
    return types.CPointer(types.CPointer(real)), types.CPointer(types.intp), types.CPointer(types.float64), PRIMITIVES


def cached(decorator, function, *args):
    """Compile a function with a decorator of Numba, and with its cache on disk if there is a writeable directory."""
    try:
        return decorator(*args, cache=True, **OPTIONS)(function)
    except RuntimeError:
        return decorator(*args, **OPTIONS)(function)


def on_stack(context, builder, tuple_type, value, element_type):
    """Store the items of a tuple in an array on the stack and return it; an array in the tuple becomes its address."""
    llvm_type = context.get_value_type(element_type)
    stored = cgutils.alloca_once(builder, llvm_type, size=max(1, len(tuple_type)))
    for k, item_type in enumerate(tuple_type):
        item = builder.extract_value(value, k)
        if isinstance(item_type, types.Array):
            item = context.make_array(item_type)(context, builder, item).data
        if isinstance(llvm_type, ir.PointerType):
            item = builder.bitcast(item, llvm_type)
        else:
            item = context.cast(builder, item, item_type, element_type)
        builder.store(item, builder.gep(stored, [context.get_constant(types.intp, k)]))
    return stored


def _load(context, builder, table, index, index_type, field):
    # table[index].loop for field 0, .data for field 1
    intp = context.get_value_type(types.intp)
    table = builder.bitcast(table, context.get_value_type(types.voidptr).as_pointer())
    at = builder.mul(context.cast(builder, index, index_type, types.intp), ir.Constant(intp, 2))
    return builder.load(builder.gep(table, [builder.add(at, ir.Constant(intp, field))]))


@intrinsic
def has(typingctx, primitives, index):
    """Return whether the numerics has a primitive of its own for this."""

    def codegen(context, builder, signature, values):
        return cgutils.is_not_null(builder, _load(context, builder, *values, signature.args[1], 0))

    return types.boolean(primitives, index), codegen


@intrinsic
def call(typingctx, primitives, index, args, dimensions, steps):
    """Call one primitive; the three tuples become the arrays of its C signature."""

    def codegen(context, builder, signature, values):
        table, index, *tuples = values
        pointer, intp = context.get_value_type(types.voidptr), context.get_value_type(types.intp)
        function_type = ir.FunctionType(
            ir.VoidType(), [pointer.as_pointer(), intp.as_pointer(), intp.as_pointer(), pointer]
        )
        loop, data = (_load(context, builder, table, index, signature.args[1], field) for field in (0, 1))
        elements = types.voidptr, types.intp, types.intp
        arrays = [on_stack(context, builder, *item) for item in zip(signature.args[2:], tuples, elements, strict=True)]
        builder.call(builder.bitcast(loop, function_type.as_pointer()), [*arrays, data])
        return context.get_dummy_value()

    return types.void(primitives, index, args, dimensions, steps), codegen


@intrinsic
def itemsize(typingctx, x):
    """Return the size of one element of `x` in bytes."""

    def codegen(context, builder, signature, values):
        return context.get_constant(types.intp, context.get_abi_sizeof(context.get_value_type(x.dtype)))

    return types.intp(x), codegen


@intrinsic
def real(typingctx, like, value):
    """Return `value` in the type of `like` or of its elements: a bare 1.0 would widen float32 arithmetic."""
    dtype = like.dtype if isinstance(like, types.CPointer) else like

    def codegen(context, builder, signature, values):
        return context.cast(builder, values[1], signature.args[1], dtype)

    return dtype(like, value), codegen


@intrinsic
def offset(typingctx, x, count):
    """Return ``x + count`` as in C."""

    def codegen(context, builder, signature, values):
        return builder.gep(values[0], [values[1]])

    return x(x, types.intp), codegen


def _cast_to(dtype):
    def cast(typingctx, x):
        def codegen(context, builder, signature, values):
            return builder.bitcast(values[0], context.get_value_type(signature.return_type))

        return types.CPointer(dtype)(x), codegen

    cast.__doc__ = f"Return the pointer `x` as one to {dtype}."
    return intrinsic(cast)


integers = _cast_to(types.int64)
words = _cast_to(types.uint64)
octets = _cast_to(types.uint8)
doubles = _cast_to(types.float64)


@intrinsic(prefer_literal=True)
def stack(typingctx, like, count):
    """Return a pointer to `count` elements on the stack, of the type of those of `like`; `count` is a constant."""

    def codegen(context, builder, signature, values):
        array = cgutils.alloca_once(builder, context.get_value_type(like.dtype), size=count.literal_value)
        array.align = 64  # no vector crosses a cache line
        return array

    return like(like, count), codegen


@helper
def unary(primitives, index, x, y, n):
    call(primitives, index, (x, y), (n,), (itemsize(x), itemsize(y)))


@helper
def power(primitives, x, exponent, y, n):
    # y = x ** exponent; y may be x
    exponents = stack(x, BLOCK)
    for i in range(min(n, BLOCK)):
        exponents[i] = exponent
    for start in range(0, n, BLOCK):
        count, item = min(BLOCK, n - start), itemsize(x)
        call(primitives, POW, (offset(x, start), exponents, offset(y, start)), (count,), (item, item, item))


@helper
def sum_rows(primitives, x, y, rows, n):
    # y[rows] = the sum of each row of x[rows, n]
    call(primitives, SUM, (x, y), (rows, n), (n * itemsize(x), itemsize(y)))


@helper
def total(primitives, x, n):
    s = stack(x, 1)
    sum_rows(primitives, x, s, 1, n)
    return s[0]


@helper
def sum_columns(primitives, x, s, rows, n, columns):
    # s = the sum of all rows, for the first `columns` of n columns
    if n == 1:
        # a single column is contiguous: NumPy sums it pairwise
        s[0] = total(primitives, x, rows)
        return
    for j in range(columns):
        s[j] = real(s, 0)
    for i in range(rows):
        at = i * n
        for j in range(columns):
            s[j] += x[at + j]


@helper
def rows_per_block(rows, n):
    # all that stay in L1, and no more than an array on the stack has numbers for
    if 0 < rows * n <= BLOCK:
        return rows
    return max(1, BLOCK // max(n, 1))


@helper
def largest_of(x, n):
    # of n > 0 numbers. A NaN that is passed over and a zero of the other sign than numpy.max would choose change
    # nothing in what exp, its sum and the loss make of a row from which it is subtracted
    largest = x[0]
    for j in range(1, n):
        largest = x[j] if x[j] > largest else largest
    return largest


@helper
def subtract_max(x, z, rows, n):
    # z = x - max of each row; z may be x
    for i in range(rows if n > 0 else 0):
        at = i * n
        largest = largest_of(offset(x, at), n)
        for j in range(at, at + n):
            z[j] = x[j] - largest


@helper
def subtract_and_keep_max(x, z, most, rows, n):
    # the same, and most = max of each row
    for i in range(rows if n > 0 else 0):
        at = i * n
        most[i] = largest = largest_of(offset(x, at), n)
        for j in range(at, at + n):
            z[j] = x[j] - largest


@helper
def max_rows(x, largest, rows, n):
    # numpy.max of each row but for the sign of a zero: a NaN is passed on; of nothing it is -infinity
    for i in range(rows):
        most = real(x, -inf)
        for j in range(i * n, i * n + n):
            most = x[j] if x[j] > most or x[j] != x[j] else most
        largest[i] = most


@helper
def divide_rows(e, s, rows, n):
    for i in range(rows):
        at = i * n
        for j in range(n):
            e[at + j] = e[at + j] / s[i]


@helper
def below_one(x, eps):
    # min(1 - eps, the number below 1)
    below = real(x, 1 - (2.0**-24 if itemsize(x) == 4 else 2.0**-53))
    bound = real(x, 1 - eps)
    return bound if bound < below else below


@helper
def clip(p, lower, upper):
    p = lower if p <= lower else p  # NaN stays
    return upper if p >= upper else p
