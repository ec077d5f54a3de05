"""The loops of portable numerics that are written in LLVM's vectors: tiles of a product, panels, sums.

LLVM vectorises a plain loop or leaves it, at its discretion; here the vectors, and the registers that hold
them, are explicit. Each intrinsic calls an LLVM function of its own, which Python writes one instruction
after the other: ``for r in range(rows)`` below unrolls a loop. The width changes the speed, never the bits.
"""

import platform

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

INDEX = ir.IntType(types.intp.bitwidth)
_FLAG = ir.IntType(1)
_SUMS = 32  # partial sums of a sum, as in portable/sum.h


def _registers():
    # the size of a vector in bytes, and the height of a tile of two vectors that the registers hold
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 8
    if features.get("avx2") and features.get("fma"):
        return 32, 6
    return 16, 8 if platform.machine().lower() in ("aarch64", "arm64") else 4


VECTOR, TILE_ROWS = _registers()
# the vectors of a tile and the rows it may have
_SHAPES = ((1, TILE_ROWS), (2, TILE_ROWS), (4, 3), (8, 1))


class VectorFunction(ir.IRBuilder):
    """An LLVM function over vectors of one type, being written.

    Parameters
    ----------
    module : llvmlite.ir.Module
    name : str
    real : numba.types.Float
        The type of the elements.
    returned : llvmlite.ir.Type
    arguments : sequence of llvmlite.ir.Type
    lanes : int, optional
        The length of the vectors; by default that of the CPU's.
    """

    def __init__(self, module, name, real, returned, arguments, lanes=None):
        function = ir.Function(module, ir.FunctionType(returned, arguments), module.get_unique_name(name))
        function.linkage = "internal"
        function.attributes.add("noinline")
        function.attributes.add("optsize")  # else LLVM unrolls the loops once more, to no avail
        super().__init__(function.append_basic_block())
        self.item = real.bitwidth // 8
        self.lanes = lanes or VECTOR // self.item
        self.vector = ir.VectorType(llvm_real(real), self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)

    def at(self, pointer, *terms):
        """Return ``pointer + sum(terms)``; a pair is a product."""
        for term in terms:
            if isinstance(term, tuple):
                term = self.mul(*map(_index, term))
            pointer = self.gep(pointer, [_index(term)])
        return pointer

    def shuffle(self, left, right, lanes):
        """Return the given lanes of two vectors, counted through both."""
        return self.shuffle_vector(left, right, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes)))

    def splat(self, value):
        """Return a vector with one value in all lanes."""
        one = self.insert_element(ir.VectorType(value.type, self.lanes)(ir.Undefined), value, _index(0))
        return self.shuffle(one, one, [0] * self.lanes)

    def first(self, count):
        """Return the mask of the first `count` lanes."""
        short = ir.IntType(32)
        count = self.select(self.icmp_signed("<", count, _index(self.lanes)), count, _index(self.lanes))
        order = ir.Constant(ir.VectorType(short, self.lanes), list(range(self.lanes)))
        return self.icmp_signed("<", order, self.splat(self.trunc(count, short)))

    def load_vector(self, pointer, mask=None):
        """Return the vector at a pointer, with zeros where the mask forbids to read."""
        pointer = self.bitcast(pointer, self.vector.as_pointer())
        if mask is None:
            return self.load(pointer, align=self.item)
        return self._intrinsic("masked.load", ".p0", self.vector, pointer, ir.IntType(32)(self.item), mask, self.zero)

    def store_vector(self, value, pointer, mask=None):
        """Store a vector at a pointer, where the mask allows to write."""
        pointer = self.bitcast(pointer, self.vector.as_pointer())
        if mask is None:
            self.store(value, pointer, align=self.item)
        else:
            self._intrinsic("masked.store", ".p0", ir.VoidType(), value, pointer, ir.IntType(32)(self.item), mask)

    def fused(self, a, b, c):
        """Return ``a * b + c`` rounded once."""
        return self._intrinsic("fma", "", self.vector, a, b, c)

    def _intrinsic(self, name, suffix, returned, *args):
        name = f"llvm.{name}.v{self.lanes}f{8 * self.item}{suffix}"
        function_type = ir.FunctionType(returned, [arg.type for arg in args])
        return self.call(cgutils.get_or_insert_function(self.module, function_type, name), args)


@intrinsic(prefer_literal=True)
def stack_vectors(typingctx, like, count):
    """Return a pointer to `count` vectors on the stack, of elements of the type of those of `like`."""

    def codegen(context, builder, signature, values):
        size = count.literal_value * VECTOR * 8 // like.dtype.bitwidth
        array = cgutils.alloca_once(builder, llvm_real(like.dtype), size=size)
        array.align = 64
        return array

    return like(like, count), codegen


def llvm_real(real):
    """Return LLVM's type for one of Numba's."""
    return ir.FloatType() if real == types.float32 else ir.DoubleType()


def _index(value):
    return INDEX(value) if isinstance(value, int) else value


def _tile(module, real, rows, vecs):
    """Return the function that computes one tile of y = a b, `rows` high and at most `vecs` vectors wide."""
    name, pointer = f"fastbp_tile_{real}_{rows}x{vecs}", llvm_real(real).as_pointer()
    arguments = [pointer, INDEX, INDEX, pointer, INDEX, pointer, _FLAG, pointer, INDEX, INDEX, INDEX, _FLAG]
    emit = VectorFunction(module, name, real, ir.VoidType(), [*arguments, pointer, _FLAG, _FLAG])
    a, a_row, a_column, b, b_row, panel, copy, y, y_row, k, n, resume, bias, add, relu = emit.function.args
    lanes = emit.lanes
    # only the last vector may be incomplete
    masks = [None] * (vecs - 1) + [emit.first(emit.sub(n, _index((vecs - 1) * lanes)))]
    cells = [(r, v) for r in range(rows) for v in range(vecs)]
    places = {(r, v): emit.at(y, (r, y_row), v * lanes) for r, v in cells}
    # variables that LLVM keeps in registers; they begin as +0
    tile = {cell: cgutils.alloca_once(emit, emit.vector) for cell in cells}

    with emit.if_then(resume):
        for r, v in cells:
            emit.store(emit.load_vector(places[r, v], masks[v]), tile[r, v])
    with cgutils.for_range(emit, k) as loop:
        right = [emit.load_vector(emit.at(b, (loop.index, b_row), v * lanes), masks[v]) for v in range(vecs)]
        with emit.if_then(copy):
            for v in range(vecs):
                emit.store_vector(right[v], emit.at(panel, (loop.index, vecs * lanes), v * lanes))
        left = [emit.splat(emit.load(emit.at(a, (r, a_row), (loop.index, a_column)))) for r in range(rows)]
        for r, v in cells:
            emit.store(emit.fused(left[r], right[v], emit.load(tile[r, v])), tile[r, v])
    with emit.if_then(add):
        added = [emit.load_vector(emit.at(bias, v * lanes), masks[v]) for v in range(vecs)]
        for r, v in cells:
            emit.store(emit.fadd(emit.load(tile[r, v]), added[v]), tile[r, v])
    with emit.if_then(relu):
        for cell in cells:
            value = emit.load(tile[cell])
            # unordered: NaN stays
            emit.store(emit.select(emit.fcmp_ordered("<=", value, emit.zero), emit.zero, value), tile[cell])
    for r, v in cells:
        emit.store_vector(emit.load(tile[r, v]), places[r, v], masks[v])
    emit.ret_void()
    return emit.function


@intrinsic
def run_tile(typingctx, rows, vecs, a, a_row, a_column, b, b_row, panel, copy, y, y_row, k, n, resume, bias, add, relu):
    """Compute one tile of y = a b: `rows` rows of `n` elements, in `vecs` vectors.

    Rows of `b` are contiguous. The flags: `copy` them to `panel`; `resume` the chains from `y`, not from +0;
    at their end `add` the bias; then apply `relu`.
    """

    def codegen(context, builder, signature, values):
        rows, vecs, *arguments = values
        end = builder.append_basic_block()
        switch = builder.switch(builder.add(builder.mul(rows, _index(16)), vecs), end)
        for v, most in _SHAPES:
            for r in range(1, most + 1):
                block = builder.append_basic_block()
                switch.add_case(_index(r * 16 + v), block)
                with builder.goto_block(block):
                    builder.call(_tile(builder.module, a.dtype, r, v), arguments)
                    builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    index, flag = types.intp, types.boolean
    operands = a, index, index, a, index, a, flag, a, index, index, index, flag, a, flag, flag
    return types.void(index, index, *operands), codegen


def _transpose(emit, vectors):
    # interleaving the first half of the vectors with the second one log2(lanes) times
    lanes, half = emit.lanes, emit.lanes // 2
    merge = [lane for i in range(lanes) for lane in (i, lanes + i)]
    for _ in range(lanes.bit_length() - 1):
        pairs = zip(vectors[:half], vectors[half:], strict=True)
        vectors = [emit.shuffle(*pair, part) for pair in pairs for part in (merge[:lanes], merge[lanes:])]
    return vectors


@intrinsic
def pack_columns(typingctx, b, b_column, k, n, panel, width):
    """Copy k rows of n columns that are contiguous, as many as a vector holds at most, to rows of a panel.

    The panel is written up to the next multiple of a vector in both directions.
    """
    real = b.dtype

    def codegen(context, builder, signature, values):
        pointer = llvm_real(real).as_pointer()
        arguments = [pointer, INDEX, INDEX, INDEX, pointer, INDEX]
        emit = VectorFunction(builder.module, f"fastbp_pack_{real}", real, ir.VoidType(), arguments)
        b, b_column, k, n, panel, width = emit.function.args
        last = emit.sub(n, _index(1))
        columns = []
        for c in range(emit.lanes):
            # past the end: the last column again
            at = emit.select(emit.icmp_signed("<", _index(c), n), _index(c), last)
            columns.append(emit.at(b, (at, b_column)))
        blocks = emit.sdiv(emit.add(k, _index(emit.lanes - 1)), _index(emit.lanes))
        with cgutils.for_range(emit, blocks) as loop:
            p = emit.mul(loop.index, _index(emit.lanes))
            mask = emit.first(emit.sub(k, p))
            rows = _transpose(emit, [emit.load_vector(emit.at(column, p), mask) for column in columns])
            for r, row in enumerate(rows):
                emit.store_vector(row, emit.at(panel, (p, width), (r, width)))
        emit.ret_void()
        builder.call(emit.function, values)
        return context.get_dummy_value()

    index = types.intp
    return types.void(b, index, index, index, b, index), codegen


@intrinsic
def sum_of(typingctx, x, n):
    """Return the sum of n contiguous elements in the order of portable/sum.h."""
    real = x.dtype

    def codegen(context, builder, signature, values):
        arguments = [llvm_real(real).as_pointer(), INDEX]
        emit = VectorFunction(builder.module, f"fastbp_sum_{real}", real, llvm_real(real), arguments, _SUMS)
        x, n = emit.function.args
        sums = cgutils.alloca_once(emit, emit.vector)
        whole = emit.sdiv(n, _index(_SUMS))
        with cgutils.for_range(emit, whole) as loop:
            emit.store(emit.fadd(emit.load(sums), emit.load_vector(emit.at(x, (loop.index, _SUMS)))), sums)
        done = emit.mul(whole, _index(_SUMS))
        # a sum from +0 is never -0, so that the zeros past the end change nothing
        value = emit.fadd(emit.load(sums), emit.load_vector(emit.at(x, done), emit.first(emit.sub(n, done))))
        half = _SUMS // 2
        while half:
            value = emit.fadd(*(emit.shuffle(value, value, range(part, part + half)) for part in (0, half)))
            half //= 2
        emit.ret(emit.extract_element(value, _index(0)))
        return builder.call(emit.function, values)

    return real(x, types.intp), codegen


@intrinsic
def is_set(typingctx, pointer):
    """Return whether a pointer is not null."""
    return types.boolean(pointer), lambda context, builder, signature, values: cgutils.is_not_null(builder, values[0])
