"""The languages that kernels are written in: C, which the extension modules include, and Python for Numba."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from ..operations import NUMBERS
from .graph import BLOCK_FUNCTIONS, CONDITIONS, axes_of, graphs, kind_of
from .plan import Loop, Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from ..table import Kernel
    from .graph import Graph, Scalar
    from .plan import Call, Place

__all__ = ["c_source", "cython_source", "is_generated", "numba_function", "numba_source"]


def is_generated(kernel: Kernel) -> bool:
    """Whether a kernel is written from its definition, and not by hand."""
    return not kernel.by_hand


class _Writer:
    """Writes one kernel; what stands here is the same in every language.

    A loop over elements that reads numbers of rows or columns is a nest: row i begins `at`, j is the column; else i
    counts them all. `some` is how many elements, rows or columns of all pass in a block.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.lines: list[str] = []
        #: What stands before the kernel.
        self.helpers: list[str] = []
        self.depth = 0
        self.used: set[str] = set()

    # ------------------------------------------------------------------------ what languages say in their ways
    end = ""
    #: What a kernel returns where nothing is wrong.
    ok: str
    #: How functions and operators of elements are called where that is not Python's way.
    functions: ClassVar[dict[str, str]]

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Indent what is written under a head."""
        raise NotImplementedError

    def head(self) -> str:
        """Return the head of the function."""
        raise NotImplementedError

    def operand(self, k: int, name: str, double: bool, written: bool) -> str:
        """Return what declares an operand: buffer number k."""
        raise NotImplementedError

    def array(self, name: str) -> str:
        """Return what declares a local array of a block's length."""
        raise NotImplementedError

    def let(self, name: str, text: str, type_: str = "real") -> str:
        """Return what gives a name to a value."""
        raise NotImplementedError

    def each(self, index: str, length: str) -> str:
        """Return the head of a loop, of whose elements none depends on another."""
        raise NotImplementedError

    def blocks(self, total: str, limit: str) -> AbstractContextManager[None]:
        """Write a loop over blocks around what is written in it."""
        raise NotImplementedError

    def advance(self, name: str, count: str) -> str:
        """Return what moves a pointer."""
        raise NotImplementedError

    def call(self, function: str, *args: str) -> str:
        """Return the call of one of the helpers."""
        raise NotImplementedError

    def primitive(self, op: str) -> str:
        """Return the name of a primitive's number."""
        raise NotImplementedError

    def rounded(self, scalar: Scalar) -> str:
        """Return a scalar, which is computed in double, as a number of the arrays' type."""
        raise NotImplementedError

    def double(self, length: str) -> str:
        """Return a length as a double."""
        raise NotImplementedError

    def below_one(self, eps: str) -> str:
        """Return the largest number below 1 that is not above 1 - eps."""
        raise NotImplementedError

    def choice(self, test: str, a: str, b: str) -> str:
        """Return `a` where a test holds, else `b`."""
        raise NotImplementedError

    def branch(self, tests: list[str]) -> str:
        """Return the head of what is done where all of some tests hold."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------- the kernel
    def add(self, text: str) -> None:
        self.lines.append("    " * self.depth + text + self.end)

    def source(self) -> str:
        kernel = self.kernel
        with self.block(self.head()):
            before = len(self.lines)
            for choices, graph in graphs(kernel):
                if choices:
                    tests = [f"{self.scalar(test)} {'!=' if taken else '=='} 0" for test, taken in choices.items()]
                    with self.block(self.branch(tests)):
                        self.body(graph)
                else:
                    self.body(graph)
            if graph.total:
                names = [o.name for o in kernel.operands]
                k = names.index(graph.total.array)
                of_rows = kind_of(kernel.operands[k].dims, graph.axes) == "row"
                total = self.call("total", "primitives", f"buffers[{k}]", self.length("rows" if of_rows else "length"))
                result = f"buffers[{names.index(graph.total.result)}][0]"
                self.add(f"{result} = {total} / {self.rounded(graph.total.divisor)}")
            self.add(f"return {self.ok}")
            body, self.lines = self.lines[before:], self.lines[:before]
            written = {o.name for o in kernel.outputs}
            for k, o in enumerate(kernel.operands):
                if o.name in self.used:
                    self.add(self.operand(k, o.name, o.dtype == "f8", o.name in written))
            self.lines += body
        return "\n".join(self.helpers + self.lines) + "\n"

    def length(self, of: str) -> str:
        """Return the length of "rows", of "columns", or of all elements."""
        sizes = [f"sizes[{self.kernel.dims.index(axis)}]" for axis in axes_of(self.kernel)]
        return {"rows": sizes[0], "columns": sizes[-1], "length": " * ".join(sizes)}[of]

    def body(self, graph: Graph) -> None:
        """Write what is done for one graph."""
        for name, items in graph.lists.items():
            self.used.add(name)
            for k, item in enumerate(items):
                self.add(self.let(f"{name}_{k}", self.scalar(item), "double"))
            for k in range(len(items)):
                self.add(f"{name}[{k}] = {name}_{k}")
        if not graph.outputs and not graph.parts:
            return
        self.plan, self.nodes = Plan(graph), graph.nodes
        for k in sorted(self.plan.needed):
            if self.nodes[k].kind == "one":
                self.add(self.let(f"s{k}", self.one(k), "scalar"))
        if self.plan.over == "elements":
            self.add(self.let("n", self.length("length"), "length"))
        else:
            self.add(self.let("rows", self.length("rows"), "length"))
            self.add(self.let("n", self.length("columns"), "length"))
        for name in self.plan.local:
            self.add(self.array(name))
        total, limit = self.limits()
        if not limit:
            self.add(self.let("some", total, "length"))
            self.actions()
            return
        with self.blocks(total, limit):
            self.actions()
            for o in self.kernel.operands:
                count = self.moves(o.dims) if o.name in self.used and o.dtype != "f8" else None
                if count:
                    self.add(self.advance(o.name, count))

    def limits(self) -> tuple[str, str]:
        """Return what passes in blocks, and how much of it does at a time; "" where all does at once."""
        plan = self.plan
        calls = any(not isinstance(action, Loop) for action in plan.actions)
        if plan.over == "rows":
            return "rows", self.call("rows_per_block", "rows", "n") if calls or plan.local else ""
        # fewer columns at a time, which stay in a cache from one pass over the rows to the next, take longer (measured)
        return "n", "BLOCK" if plan.local or (calls and plan.over == "elements") else ""

    def moves(self, dims: Iterable[str | int]) -> str | None:
        """Return by how much an operand of some dimensions moves from one block to the next."""
        kind, over = kind_of(dims, axes_of(self.kernel)), self.plan.over
        if over == "rows" and kind == "full":
            return " * ".join(["some", *(str(d) for d in dims if isinstance(d, int)), "n"])
        moving = {"elements": ("full",), "rows": ("row",), "columns": ("full", "column")}[over]
        return "some" if kind in moving else None

    def actions(self) -> None:
        if self.plan.over == "columns" and any(self.flat(a) for a in self.plan.actions):
            # columns that are all of a matrix lie side by side
            self.add(self.let("lines", self.choice("some == n", "1", "rows"), "length"))
            self.add(self.let("width", self.choice("some == n", "rows * n", "some"), "length"))
        for number, action in enumerate(self.plan.actions):
            if not isinstance(action, Loop):
                self.add(self.made(action))
            elif action.stores[0][1].kind == "full":
                self.full(number, action)
            else:
                with self.block(self.each("i", "some")):
                    self.stores(action, nested=False)

    def flat(self, action: Loop | Call) -> bool:
        """Whether a loop over elements reads no numbers of rows or of columns."""
        if not isinstance(action, Loop) or action.stores[0][1].kind != "full":
            return False
        places = [*action.reads.values(), *(place for _, place in action.stores)]
        return all(place.kind == "full" and place.part is None for place in places)

    def full(self, number: int, action: Loop) -> None:
        """Write a loop over elements."""
        if not self.flat(action):
            rows, columns = ("rows", "some") if self.plan.over == "columns" else ("some", "n")
            self.nest(number, action, rows, columns)
        elif self.plan.over == "columns":
            self.nest(number, action, "lines", "width")
        else:
            with self.block(self.each("i", "some" if self.plan.over == "elements" else "some * n")):
                self.stores(action, nested=False)

    def nest(self, number: int, action: Loop, rows: str, columns: str) -> None:
        """Write a loop over rows and in it one over columns."""
        raise NotImplementedError

    def in_row(self, name: str, part: int | None) -> str:
        """Return element j of the row at hand."""
        raise NotImplementedError

    def row(self, action: Loop, columns: str) -> None:
        """Write the body of a loop over rows."""
        done: dict[int, str] = {}
        for k in sorted({*action.reads, *self.plan.computed(action)}):
            if self.nodes[k].kind == "row":
                self.element(k, action.reads, True, done)
        with self.block(self.each("j", columns)):
            self.stores(action, nested=True, done=done)

    def stores(self, action: Loop, nested: bool, done: dict[int, str] | None = None) -> None:
        """Write the body of a loop; what is not in memory is computed (again)."""
        done = {} if done is None else done
        names = [self.element(k, action.reads, nested, done) for k, _ in action.stores]
        # all values before the first store: an output may share its buffer with an input
        for (_, place), name in zip(action.stores, names, strict=True):
            self.add(f"{self.at(place, nested)} = {name}")

    def element(self, k: int, reads: dict[int, Place], nested: bool, done: dict[int, str]) -> str:
        if k in done:
            return done[k]
        node = self.nodes[k]
        if node.kind == "one":
            return f"s{k}"
        if k in reads:
            text = self.at(reads[k], nested)
        else:
            text = self.operation(node.op, [self.element(a, reads, nested, done) for a in node.args])
        done[k] = f"e{k}"
        if node.op in CONDITIONS:
            done[k] = f"({text})"  # a condition is written where it is used
        else:
            self.add(self.let(done[k], text))
        return done[k]

    def at(self, place: Place, nested: bool) -> str:
        """Return the number at hand of those in a place."""
        self.used.add(place.name)
        if not nested or place.kind == "row":
            return f"{place.name}[i]"
        if place.kind == "column":
            return f"{place.name}[j]"
        return self.in_row(place.name, place.part)

    def parts(self, name: str) -> int:
        """Return how many rows of an operand a sample has."""
        dims = next(o.dims for o in self.kernel.operands if o.name == name)
        return next((d for d in dims if isinstance(d, int)), 1)

    def made(self, action: Call) -> str:
        """Return what makes one array of another."""
        x, y = action.source.name, action.target.name
        self.used |= {x, y}
        match action.op:
            case "subtract_max":
                if not action.largest:
                    return self.call("subtract_max", x, y, "some", "n")
                return self.call("subtract_and_keep_max", x, y, action.largest.name, "some", "n")
            case "row_max":
                return self.call("max_rows", x, y, "some", "n")
            case "row_sum":
                return self.call("sum_rows", "primitives", x, y, "some", "n")
            case "column_sum":
                return self.call("sum_columns", "primitives", x, y, "rows", "n", "some")
        count = "some * n" if action.source.kind == "full" and self.plan.over == "rows" else "some"
        if action.exponent:
            return self.call("power", "primitives", x, self.rounded(action.exponent), y, count)
        return self.call("unary", "primitives", self.primitive(action.op), x, y, count)

    def one(self, k: int) -> str:
        """Return a number that is one for all elements."""
        node = self.nodes[k]
        if node.scalar:
            return self.rounded(node.scalar)
        if node.op == "input":
            self.used.add(node.name)
            return f"{node.name}[0]"
        return self.operation(node.op, [f"s{a}" for a in node.args])

    def scalar(self, scalar: Scalar) -> str:
        """Return an expression in double."""
        args = [self.scalar(arg) for arg in scalar.args]
        match scalar.op:
            case "number":
                return scalar.text
            case "item":
                self.used.add(scalar.text.partition("[")[0])
                return scalar.text
            case "attribute":
                return f"attributes[{scalar.text}]"
            case "length" | "rows" | "columns":
                return self.double(self.length(scalar.op))
            case "below_one":
                return self.below_one(*args)
            case "sqrt":
                return f"sqrt({args[0]})"
            case "choice":
                return f"({self.choice(f'{args[0]} != 0', *args[1:])})"
        return f"({args[0]} {scalar.op} {args[1]})" if len(args) == 2 else f"({scalar.op}{args[0]})"

    def operation(self, op: str, args: list[str]) -> str:
        """Return one operation of elements."""
        match op:
            case "maximum":  # NaN stays, and of equals the second: numpy.maximum
                return self.choice(f"{args[0]} <= {args[1]}", args[1], args[0])
            case "minimum":
                return self.choice(f"{args[0]} >= {args[1]}", args[1], args[0])
            case "where":
                return self.choice(*args)
            case "clip":
                return self.call("clip", *args)
            case "abs" | "sqrt":
                return f"{self.functions[op]}({args[0]})"
        op = self.functions.get(op, op)
        return f"{args[0]} {op} {args[1]}" if len(args) == 2 else f"{op}{args[0]}"


class _C(_Writer):
    """A function of the ABI. Nests whose loops are worth it (`FASTBP_SHORT_ROWS`) are functions of a length."""

    end, ok = ";", "FASTBP_OK"
    functions: ClassVar = {"abs": "(fastbp_real)fabs", "sqrt": "fastbp_square_root", "and": "&", "or": "|"}
    _TYPES: ClassVar = {"real": "fastbp_real", "scalar": "fastbp_real", "double": "double", "length": "intptr_t"}

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.lines.append("    " * self.depth + f"{head} {{".lstrip())
        self.depth += 1
        yield
        self.depth -= 1
        self.lines.append("    " * self.depth + "}")

    def head(self) -> str:
        return f"static int fastbp_{self.kernel.name}(FASTBP_KERNEL_ARGUMENTS)"

    def operand(self, k: int, name: str, double: bool, written: bool) -> str:
        type_ = ("" if written else "const ") + ("double" if double else "fastbp_real")
        return f"{type_} *{name} = ({type_} *)buffers[{k}]"

    def array(self, name: str) -> str:
        return f"fastbp_real {name}[FASTBP_BLOCK]"

    def let(self, name: str, text: str, type_: str = "real") -> str:
        # gcc makes less of a number that it knows to be constant: relu6 took 1.12 times as long (measured)
        return f"{'' if type_ == 'scalar' else 'const '}{self._TYPES[type_]} {name} = {text}"

    def each(self, index: str, length: str) -> str:
        kind = "FASTBP_INDEPENDENT" if index == "j" else "FASTBP_MANY"  # rows are often short
        return f"{kind} for (intptr_t {index} = 0; {index} < {length}; {index}++)"

    @contextmanager
    def blocks(self, total: str, limit: str) -> Iterator[None]:
        limit = limit.replace("BLOCK", "FASTBP_BLOCK")
        self.add(self.let("limit", limit, "length"))
        with self.block(f"for (intptr_t left = {total}, some; left > 0; left -= some)"):
            self.add(f"some = {self.choice('left < limit', 'left', 'limit')}")
            yield

    def advance(self, name: str, count: str) -> str:
        return f"{name} += {count}"

    def call(self, function: str, *args: str) -> str:
        return f"fastbp_{function}({', '.join(args)})"

    def primitive(self, op: str) -> str:
        return f"FASTBP_{op.upper()}"

    def rounded(self, scalar: Scalar) -> str:
        return f"(fastbp_real)({self.scalar(scalar)})"

    def double(self, length: str) -> str:
        return f"(double)({length})"

    def below_one(self, eps: str) -> str:
        return f"fastbp_below_one({eps})"

    def choice(self, test: str, a: str, b: str) -> str:
        return f"{test} ? {a} : {b}"

    def branch(self, tests: list[str]) -> str:
        return f"if ({' && '.join(tests)})"

    def in_row(self, name: str, part: int | None) -> str:
        return f"{name}_i{'' if part is None else part}[j]"

    def nest(self, number: int, action: Loop, rows: str, columns: str) -> None:
        if self.plan.over == "rows" and self._divides(action):
            self._by_length(number, action, rows, columns)
        else:
            self._nest(action, rows, columns)

    def _nest(self, action: Loop, rows: str, columns: str) -> None:
        written = {place.name for _, place in action.stores}
        places = (*action.reads.values(), *(place for _, place in action.stores))
        full = dict.fromkeys((place.name, place.part) for place in places if place.kind == "full")
        # pointers that move: with indices of all elements rows of 64 take a quarter longer (measured)
        with self.block(""):
            for name, part in full:
                start = f"{name} + {part} * n" if part else name
                pointer = self.in_row(name, part).removesuffix("[j]")
                self.add(f"{'' if name in written else 'const '}fastbp_real *{pointer} = {start}")
            with self.block(f"for (intptr_t i = 0; i < {rows}; i++)"):
                self.row(action, columns)
                for name, part in full:
                    step = "n" if part is None else f"{self.parts(name)} * n"
                    self.add(f"{self.in_row(name, part).removesuffix('[j]')} += {step}")

    def _by_length(self, number: int, action: Loop, rows: str, columns: str) -> None:
        name = f"fastbp_{self.kernel.name}_{number}"
        places = [*action.reads.values(), *(place for _, place in action.stores)]
        written = {place.name for _, place in action.stores}
        arrays = sorted({place.name for place in places})
        ones = sorted({k for k, node in enumerate(self.nodes) if node.kind == "one" and k in self.plan.needed})
        lines, self.lines, depth, self.depth = self.lines, [], self.depth, 0
        parameters = [f"{'' if a in written else 'const '}fastbp_real *{a}" for a in arrays]
        parameters += [*(f"const fastbp_real s{k}" for k in ones), "intptr_t some", "const intptr_t n"]
        with self.block(f"FASTBP_INLINE void {name}({', '.join(parameters)})"):
            self._nest(action, rows, columns)
        self.helpers += [*self.lines, ""]
        self.lines, self.depth = lines, depth
        given = ", ".join([*arrays, *(f"s{k}" for k in ones), "some"])
        self.add(f"FASTBP_SHORT_ROWS(n, {name}({given}, N), {name}({given}, n))")

    def _divides(self, action: Loop) -> bool:
        """Whether numbers of a row divide its elements: what a vector saves is most there (measured)."""
        nodes = self.nodes
        below = self.plan.computed(action)
        return any(nodes[k].op == "/" and nodes[nodes[k].args[1]].kind == "row" for k in below)


class _Numba(_Writer):
    """A Python function that Numba compiles."""

    ok = "OK"
    functions: ClassVar = {"abs": "abs", "sqrt": "sqrt"}

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.lines.append("    " * self.depth + head + ":")
        self.depth += 1
        yield
        self.depth -= 1

    def head(self) -> str:
        return f"def {self.kernel.name}(buffers, sizes, attributes, primitives)"

    def operand(self, k: int, name: str, double: bool, written: bool) -> str:
        return f"{name} = doubles(buffers[{k}])" if double else f"{name} = buffers[{k}]"

    def array(self, name: str) -> str:
        return f"{name} = stack(buffers[0], BLOCK)"

    def let(self, name: str, text: str, type_: str = "real") -> str:
        return f"{name} = {text}"

    def in_row(self, name: str, part: int | None) -> str:
        return f"{name}[at + j]" if part is None else f"{name}[{self.parts(name)} * at + {part} * n + j]"

    def nest(self, number: int, action: Loop, rows: str, columns: str) -> None:
        with self.block(self.each("i", rows)):
            self.add("at = i * n")
            self.row(action, columns)

    def each(self, index: str, length: str) -> str:
        return f"for {index} in range({length})"

    @contextmanager
    def blocks(self, total: str, limit: str) -> Iterator[None]:
        self.add(f"limit = {limit}")
        with self.block(f"for start in range(0, {total}, limit)"):
            self.add(f"some = min(limit, {total} - start)")
            yield

    def advance(self, name: str, count: str) -> str:
        return f"{name} = offset({name}, {count})"

    def call(self, function: str, *args: str) -> str:
        return f"{function}({', '.join(args)})"

    def primitive(self, op: str) -> str:
        return op.upper()

    def rounded(self, scalar: Scalar) -> str:
        return f"real(buffers[0], {self.scalar(scalar)})"

    def double(self, length: str) -> str:
        return f"float({length})"

    def below_one(self, eps: str) -> str:
        return f"below_one(buffers[0], {eps})"

    def choice(self, test: str, a: str, b: str) -> str:
        return f"{a} if {test} else {b}"

    def branch(self, tests: list[str]) -> str:
        return f"if {' and '.join(tests)}"


_C_HEAD = """/* Written by setup.py from kernels/table/; see kernels/codegen/. */
#include "cython_ext/helpers.h"

#define FASTBP_KERNEL_ARGUMENTS \\
    fastbp_real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives

"""


def c_source(kernels: Iterable[Kernel]) -> str:
    """Return a header with all generated kernels as C functions, to be included for each dtype and level."""
    return _C_HEAD + "\n".join(_C(kernel).source() for kernel in kernels if is_generated(kernel))


def cython_source(kernels: Iterable[Kernel]) -> str:
    """Return the Cython source that exports them, two lines each."""
    parameters = "real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives"
    names = [kernel.name for kernel in kernels if is_generated(kernel)]
    declared = [f"    int fastbp_{name}({parameters})" for name in names]
    exported = [
        f"cdef api int {name}({parameters}) noexcept nogil:\n"
        f"    return fastbp_{name}(buffers, sizes, attributes, primitives)\n"
        for name in names
    ]
    head = "# Written by setup.py from kernels/table/; see kernels/codegen/."
    return "\n".join([head, "", 'cdef extern from "generated.h" nogil:', *declared, "", *exported])


_NUMBA_HEAD = '''"""Written by setup.py from kernels/table/; see kernels/codegen/."""

from math import sqrt

from .common import (
    BLOCK, OK, below_one, clip, doubles, max_rows, offset, power, real, rows_per_block, stack, subtract_and_keep_max,
    subtract_max, sum_columns, sum_rows, total, unary,
)

'''


def numba_source(kernels: Iterable[Kernel]) -> str:
    """Return the source of a module with all generated kernels as functions that Numba compiles."""
    numbers = "".join(f"{name.upper()} = {NUMBERS[name]}\n" for name in BLOCK_FUNCTIONS.values())
    sources = [_Numba(kernel).source() for kernel in kernels if is_generated(kernel)]
    return "\n\n".join([_NUMBA_HEAD + numbers, *sources])


def numba_function(kernel: Kernel) -> str:
    """Return the source of one kernel, for a namespace like that of the module."""
    return _Numba(kernel).source()
