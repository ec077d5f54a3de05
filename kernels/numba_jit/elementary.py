"""The elementary functions of portable numerics for Numba: their definition, run once over LLVM's vectors.

`fastbp.kernels.portable.elementary` is written over a small vocabulary. Here a value is a vector that LLVM
will know: what the definition computes with it, one Python operation after the other, becomes the
instructions of a loop.
"""

import operator
from inspect import signature

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..portable import elementary
from .vectors import INDEX, VectorFunction, llvm_real

_COMPARISONS = {operator.lt: "<", operator.gt: ">", operator.ge: ">=", operator.eq: "==", operator.ne: "!="}
_REAL = {operator.add: "fadd", operator.sub: "fsub", operator.mul: "fmul", operator.truediv: "fdiv"}
_LOGIC = {operator.and_: "and_", operator.or_: "or_", operator.xor: "xor"}
_SHIFTS = {operator.lshift: "shl", operator.rshift: "lshr"}
_INTEGER = {operator.add: "add", operator.sub: "sub", **_LOGIC, **_SHIFTS}


def _method(operation, swap=False):
    return lambda self, other: self.operate(operation, *((other, self) if swap else (self, other)))


class _Value:
    """A vector of reals, of their bits or of truth values in a function that is being written."""

    __array_ufunc__ = None  # NumPy's scalars leave arithmetic with it to this class

    def __init__(self, emit, vector):
        self.emit, self.vector = emit, vector

    def like(self, x):
        """Return x as an LLVM value; a number as a vector of the same type as this one."""
        if isinstance(x, _Value):
            return x.vector
        number = float(x) if isinstance(x, np.floating) else int(x)
        return ir.Constant(self.vector.type, [number] * self.vector.type.count)

    def operate(self, operation, left, right):
        """Return the result of one of the functions of `operator`."""
        left, right = self.like(left), self.like(right)
        real = isinstance(left.type.element, (ir.FloatType, ir.DoubleType))
        if operation not in _COMPARISONS:
            return _Value(self.emit, getattr(self.emit, (_REAL if real else _INTEGER)[operation])(left, right))
        compare = self.emit.icmp_unsigned
        if real:
            # only != is true of NaN
            compare = self.emit.fcmp_unordered if operation is operator.ne else self.emit.fcmp_ordered
        return _Value(self.emit, compare(_COMPARISONS[operation], left, right))

    def __neg__(self):
        return _Value(self.emit, self.emit.fneg(self.vector))

    __add__, __radd__ = _method(operator.add), _method(operator.add, swap=True)
    __sub__, __rsub__ = _method(operator.sub), _method(operator.sub, swap=True)
    __mul__, __rmul__ = _method(operator.mul), _method(operator.mul, swap=True)
    __truediv__, __rtruediv__ = _method(operator.truediv), _method(operator.truediv, swap=True)
    __and__, __or__, __xor__ = map(_method, _LOGIC)
    __lshift__, __rshift__ = map(_method, _SHIFTS)
    __lt__, __gt__, __ge__, __eq__, __ne__ = map(_method, _COMPARISONS)


def _vocabulary(emit):
    """Return the vocabulary of the definitions, as functions that write to `emit`."""
    integer = ir.VectorType(ir.IntType(8 * emit.item), emit.lanes)
    real = _Value(emit, emit.zero)

    def fma(a, b, c):
        return _Value(emit, emit.fused(real.like(a), real.like(b), real.like(c)))

    def where(condition, a, b):
        return _Value(emit, emit.select(condition.vector, real.like(a), real.like(b)))

    def take(table, i):
        row = ir.ArrayType(integer.element, len(table))
        elements = cgutils.global_constant(emit, emit.module.get_unique_name("table"), row([int(x) for x in table]))
        vector = integer(ir.Undefined)
        for lane in map(ir.IntType(32), range(emit.lanes)):
            place = emit.gep(elements, [INDEX(0), emit.extract_element(i.vector, lane)])
            vector = emit.insert_element(vector, emit.load(place), lane)
        return _Value(emit, vector)

    def rarely(condition, function, x, usual):
        before = emit.block
        met = emit.bitcast(condition.vector, ir.IntType(emit.lanes))
        with emit.if_then(emit.icmp_unsigned("!=", met, met.type(0)), likely=False):
            found = [where(condition, *pair).vector for pair in zip(function(x), usual, strict=True)]
            after = emit.block
        merged = [emit.phi(emit.vector) for _ in usual]
        for phi, value, other in zip(merged, found, usual, strict=True):
            phi.add_incoming(value, after)
            phi.add_incoming(other.vector, before)
        return tuple(_Value(emit, phi) for phi in merged)

    return {
        "fma": fma,
        "where": where,
        "take": take,
        "rarely": rarely,
        "bits": lambda x: _Value(emit, emit.bitcast(x.vector, integer)),
        "real": lambda i: _Value(emit, emit.bitcast(i.vector, emit.vector)),
    }


def _loop(module, name, real):
    """Return the LLVM function that applies one elementary function to its operands, arrays of n elements."""
    definition = getattr(elementary, name)
    inputs = len(signature(definition).parameters)
    pointers = [llvm_real(real).as_pointer()] * (inputs + 1)
    emit = VectorFunction(module, f"fastbp_{name}_{real}", real, ir.VoidType(), [*pointers, INDEX])
    *operands, n = emit.function.args
    functions = elementary.load(emit.item, **_vocabulary(emit))
    blocks = emit.sdiv(emit.add(n, INDEX(emit.lanes - 1)), INDEX(emit.lanes))
    with cgutils.for_range(emit, blocks) as loop:
        start = emit.mul(loop.index, INDEX(emit.lanes))
        mask = emit.first(emit.sub(n, start))
        *x, y = (emit.at(operand, start) for operand in operands)
        result = getattr(functions, name)(*(_Value(emit, emit.load_vector(pointer, mask)) for pointer in x))
        emit.store_vector(result.vector, y, mask)
    emit.ret_void()
    return emit.function


@intrinsic(prefer_literal=True)
def apply(typingctx, name, args, n):
    """Apply an elementary function to n elements; `args` are pointers to its operands and its result."""
    real = args.dtype.dtype

    def codegen(context, builder, signature, values):
        function = _loop(builder.module, name.literal_value, real)
        pointers = [builder.load(builder.gep(values[1], [INDEX(k)])) for k in range(len(function.args) - 1)]
        builder.call(function, [*pointers, values[2]])
        return context.get_dummy_value()

    return types.void(name, args, types.intp), codegen
