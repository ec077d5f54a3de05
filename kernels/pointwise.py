"""Pointwise kernels are written once: the function in their row is the definition, and from it follow the sources
that Cython and Numba compile.

A definition becomes a graph of operations, each of which IEEE 754 defines exactly, except the calls of a
primitive (exp, log ...). Scalars are computed in double and rounded where they meet an array, as NumPy does;
nothing is reordered, so the compiled kernels return the definition's bits. A call of a primitive works on a
block that stays in L1. The module needs the standard library only: setup.py runs it.

The vocabulary of a definition: operands, attributes, numbers, numbers of its module, ``+ - * /``, comparisons, ``&``,
``|``, ``np.where``, ``np.abs``, ``np.sqrt``, ``np.maximum`` and ``np.minimum`` of an array and a scalar, ``clip``,
`BLOCK_FUNCTIONS`, ``below_one(x, eps)``, ``polynomial(x, coefficients)`` with a tuple of its module,
``x.dtype.type(scalar)``, ``x.size``, ``len(x)``, ``a if attribute else b``, and of a loss ``elements.sum() / scalar``.
What `&`, `|` and ``np.where`` ask is a comparison; nothing else takes one, for NumPy computes with it by other rules.
"""

from __future__ import annotations

import ast
import sys
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from .operations import ELEMENTARY, NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .table import Kernel

__all__ = ["BLOCK_FUNCTIONS", "Cython", "Graph", "Numba", "Scalar", "cython_source", "is_pointwise", "numba_source"]

#: Functions of a block, by how an expression calls them.
BLOCK_FUNCTIONS = {f.call: f.name for f in ELEMENTARY if f.operands == 1}
_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_LOGIC = {ast.BitAnd: "and", ast.BitOr: "or"}
#: How many arguments functions have that do not have one.
_ARITY = {"maximum": 2, "minimum": 2, "clip": 3}
_CONDITIONS = {*_COMPARE.values(), *_LOGIC.values()}
#: What no statement may give another meaning.
_WORDS = {"np", "len", "clip", "below_one", "polynomial", *BLOCK_FUNCTIONS}


def _tree(kernel: Kernel) -> ast.FunctionDef:
    (tree,) = ast.parse(kernel.source).body
    assert isinstance(tree, ast.FunctionDef)
    return tree


def is_pointwise(kernel: Kernel) -> bool:
    """Whether this module makes the kernel: over real arrays of one shape, which yields arrays and perhaps a loss."""
    arrays = [o for o in kernel.operands if any(isinstance(d, str) for d in o.dims)]
    shapes = {o.dims for o in arrays}
    return (
        shapes in ({("n",)}, {("batch", "n")})
        and all(o.dtype == "real" for o in arrays)
        and all("n" in o.dims or o.dtype == "f8" for o in kernel.inputs)
        and all("n" in o.dims or (o.dims == () and o.dtype == "real") for o in kernel.outputs)
        and len(kernel.dims) == len(*shapes)
        # a sum or a maximum of rows or columns is no operation of elements
        and not any(isinstance(node, ast.keyword) and node.arg == "axis" for node in ast.walk(_tree(kernel)))
    )


class Scalar(NamedTuple):
    """A number that is computed in double: `op` is an operator between `args`, or one of

    "number", "attribute" (its place among them), "item" (``lr[0]``), "length" (of all arrays), "rows" (of a batch),
    "sqrt", "below_one" and "choice" (a test, what it is unless that is 0, what it is then).
    """

    op: str
    args: tuple[Scalar, ...] = ()
    text: str = ""

    def has(self, op: str) -> bool:
        """Whether an operation is part of it."""
        return self.op == op or any(arg.has(op) for arg in self.args)


def number(value: float) -> Scalar:
    """Return a number as a `Scalar`."""
    return Scalar("number", text=repr(float(value)))


class Node(NamedTuple):
    """One operation of a graph: `args` are the numbers of other nodes; an "input" has a name, a "scalar" its value."""

    op: str
    args: tuple[int, ...] = ()
    name: str = ""
    scalar: Scalar | None = None


class Total(NamedTuple):
    """The sum of an array over a scalar, which is a loss: names of operands, but for the divisor."""

    result: str
    array: str
    divisor: Scalar


class _Sum(NamedTuple):
    array: int
    divisor: Scalar


class Graph:
    """The operations of one kernel.

    Parameters
    ----------
    kernel : Kernel
    choices : dict of Scalar to bool
        Which branch an ``a if attribute else b`` of arrays takes.

    Attributes
    ----------
    nodes : list of Node
        Operands before their operations; equal ones are one.
    outputs : dict of str to int
        The node of each array.
    total : Total or None

    Raises
    ------
    ValueError
        If the definition has a word that is not in the vocabulary.
    KeyError
        The test of an ``if`` that `choices` lacks.
    """

    def __init__(self, kernel: Kernel, choices: dict[Scalar, bool]) -> None:
        self.kernel, self.choices = kernel, choices
        self.nodes: list[Node] = []
        self.outputs: dict[str, int] = {}
        self.total: Total | None = None
        self._known: dict[Node, int] = {}
        self._lists = {o.name for o in kernel.inputs if o.dtype == "f8"}
        # what a name stands for now: the number of a node, a scalar, or a sum that nothing may be done with
        self._names: dict[str, int | Scalar | _Sum] = {
            o.name: self._node(Node("input", name=o.name)) for o in kernel.inputs if "n" in o.dims
        }
        self._names |= {name: Scalar("attribute", text=str(k)) for k, name in enumerate(kernel.attributes)}
        *statements, last = _tree(kernel).body
        for statement in statements:
            match statement:
                case ast.Assign([ast.Name(name)], value) if name not in _WORDS:
                    self._names[name] = self._result(value)
                case _:
                    raise self._unknown(statement)
        if not isinstance(last, ast.Return) or last.value is None:
            raise self._unknown(last)
        self._return(last.value.elts if isinstance(last.value, ast.Tuple) else [last.value])

    @cached_property
    def counts(self) -> set[str]:
        """Which of "rows" and "length" the scalars need."""
        scalars = [node.scalar for node in self.nodes if node.scalar]
        scalars += [self.total.divisor] if self.total else []
        return {op for op in ("rows", "length") if any(scalar.has(op) for scalar in scalars)}

    @cached_property
    def calls(self) -> list[int]:
        """The nodes that are functions of a block."""
        return [k for k, node in enumerate(self.nodes) if node.op in BLOCK_FUNCTIONS.values()]

    def _node(self, node: Node) -> int:
        if node not in self._known:
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return self._known[node]

    def _number(self, value: int | Scalar) -> int:
        return value if isinstance(value, int) else self._node(Node("scalar", scalar=value))

    def _check(self, tree: ast.AST, value: int | Scalar | _Sum, condition: bool) -> None:
        """Raise ValueError unless a value is a condition, or is none."""
        op = self.nodes[value].op if isinstance(value, int) else getattr(value, "op", None)
        if (op in _CONDITIONS) != condition:
            what = "no comparison; & and | and numpy.where ask one"
            what = what if condition else "a comparison; only & and | and numpy.where take one"
            raise ValueError(f"{self.kernel.name}: {ast.unparse(tree)!r} is {what}")

    def _condition(self, tree: ast.expr) -> int | Scalar:
        """Return what may be asked."""
        value = self._value(tree)
        self._check(tree, value, condition=True)
        return value

    def _real(self, tree: ast.expr) -> int | Scalar:
        """Return what may be computed with."""
        value = self._value(tree)
        self._check(tree, value, condition=False)
        return value

    def _unknown(self, tree: ast.AST) -> ValueError:
        return ValueError(f"{self.kernel.name}: {ast.unparse(tree)!r} is not in the vocabulary of pointwise kernels")

    def _return(self, trees: list[ast.expr]) -> None:
        results = {o.name: self._result(tree) for o, tree in zip(self.kernel.results, trees, strict=True)}
        for tree, result in zip(trees, results.values(), strict=True):
            self._check(tree, result, condition=False)
        sums = {name: value for name, value in results.items() if isinstance(value, _Sum)}
        # what is summed, and nobody else asks for, lies in an array to work in
        work = next((value.array for value in sums.values()), None)
        for operand in self.kernel.outputs:
            value = results.get(operand.name, work)
            if "n" not in operand.dims:
                if operand.name not in sums:
                    raise ValueError(f"{self.kernel.name}: {operand!r} must be a sum over a scalar")
            elif isinstance(value, (int, Scalar)):
                self.outputs[operand.name] = self._number(value)
            else:
                raise ValueError(f"{self.kernel.name}: {operand!r} must be an array")
        for name, value in sums.items():
            arrays = {k: output for output, k in self.outputs.items()}
            array = self.nodes[value.array].name or arrays.get(value.array)
            if array is None:
                raise ValueError(f"{self.kernel.name}: {name} must be the sum of an operand")
            self.total = Total(name, array, value.divisor)

    def _result(self, tree: ast.expr) -> int | Scalar | _Sum:
        """Return the value of a statement, which may be a sum."""
        if isinstance(tree, ast.Name) and isinstance(value := self._names.get(tree.id), _Sum):
            return value
        match tree:
            case ast.BinOp(ast.Call(ast.Attribute(summed, "sum"), [], []), ast.Div(), divisor):
                array, by = self._real(summed), self._real(divisor)
                if isinstance(array, int) and isinstance(by, Scalar):
                    return _Sum(array, by)
        return self._value(tree)

    def _value(self, tree: ast.expr) -> int | Scalar:
        """Return the node of an array, or a scalar."""
        if isinstance(tree, ast.Constant) and isinstance(tree.value, (int, float)):
            if abs(tree.value) > sys.float_info.max:
                raise ValueError(f"{self.kernel.name}: a constant is {str(tree.value)[:40]}; it must be finite")
            return number(tree.value)
        if isinstance(tree, ast.Name):
            value = self._names[tree.id] if tree.id in self._names else self._constant(tree)
            if isinstance(value, float):
                return number(value)
            if isinstance(value, (int, Scalar)):
                return value
        match tree:
            case ast.Subscript(ast.Name(name), ast.Constant(int(k))) if name in self._lists:
                return Scalar("item", text=f"{name}[{k}]")
            case ast.Attribute(array, "size") if self._is_array(array):
                return Scalar("length")
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
            value = self._real(tree.operand)
            return self._node(Node("-", (value,))) if isinstance(value, int) else Scalar("-", (value,))
        if isinstance(tree, ast.IfExp):
            return self._choice(tree)
        if isinstance(tree, ast.Call):
            return self._call(tree)
        if isinstance(tree, ast.BinOp) and type(tree.op) in _BINARY:
            return self._binary(_BINARY[type(tree.op)], self._real(tree.left), self._real(tree.right))
        if isinstance(tree, ast.BinOp) and type(tree.op) in _LOGIC:
            return self._binary(_LOGIC[type(tree.op)], self._condition(tree.left), self._condition(tree.right))
        if isinstance(tree, ast.Compare) and type(tree.ops[0]) in _COMPARE and len(tree.ops) == 1:
            return self._binary(_COMPARE[type(tree.ops[0])], self._real(tree.left), self._real(tree.comparators[0]))
        raise self._unknown(tree)

    def _is_array(self, tree: ast.expr) -> bool:
        """Whether it is the name of an array: what is not computed has to be one, for it may come from a file."""
        return isinstance(tree, ast.Name) and isinstance(self._names.get(tree.id), int)

    def _constant(self, tree: ast.expr) -> float | tuple[float, ...] | None:
        """Return a number, or a tuple of numbers, of the definition's module."""
        known = getattr(self.kernel.function, "__globals__", {})
        value = known.get(tree.id) if isinstance(tree, ast.Name) else None
        return value if isinstance(value, (float, tuple)) else None

    def _binary(self, op: str, a: int | Scalar, b: int | Scalar) -> int | Scalar:
        if isinstance(a, Scalar) and isinstance(b, Scalar):
            return Scalar(op, (a, b))
        return self._node(Node(op, (self._number(a), self._number(b))))

    def _choice(self, tree: ast.IfExp) -> int | Scalar:
        test = self._value(tree.test)
        if not isinstance(test, Scalar):
            raise self._unknown(tree)
        a, b = self._real(tree.body), self._real(tree.orelse)
        if isinstance(a, Scalar) and isinstance(b, Scalar):
            return Scalar("choice", (test, a, b))
        return a if self.choices[test] else b

    def _call(self, tree: ast.Call) -> int | Scalar:
        match tree:
            case ast.Call(ast.Name("len"), [array], []) if self._is_array(array):
                return Scalar("rows")
            case ast.Call(ast.Name("below_one"), [array, eps], []) if self._is_array(array):
                value = self._real(eps)
                if isinstance(value, Scalar):
                    return Scalar("below_one", (value,))
            case ast.Call(ast.Name("polynomial"), [x, constant], []):
                coefficients = self._constant(constant)
                if isinstance(coefficients, tuple):
                    return self._polynomial(self._real(x), coefficients)
            case ast.Call(ast.Attribute(ast.Attribute(array, "dtype"), "type"), [x], []) if self._is_array(array):
                value = self._real(x)
                if isinstance(value, Scalar):
                    return value
            case ast.Call(ast.Attribute(ast.Name("np"), "where"), [test, a, b], []):
                return self._where(tree, self._condition(test), self._real(a), self._real(b))
            case ast.Call(function, [_, *_], []) if ast.unparse(function) != "np.where":
                return self._function(tree, ast.unparse(function), [self._real(a) for a in tree.args])
        raise self._unknown(tree)

    def _where(self, tree: ast.Call, test: int | Scalar, a: int | Scalar, b: int | Scalar) -> int:
        if not isinstance(test, int):
            raise self._unknown(tree)
        numbers = isinstance(a, Scalar) and isinstance(b, Scalar)
        if numbers and not any(isinstance(arg, ast.Call) for arg in tree.args[1:]):
            array = next(o.name for o in self.kernel.inputs if "n" in o.dims)
            way = f"one of them must be {array}.dtype.type(number)"
            raise ValueError(f"{self.kernel.name}: {ast.unparse(tree)!r} of two numbers would be float64; {way}")
        return self._node(Node("where", (test, self._number(a), self._number(b))))

    def _function(self, tree: ast.Call, name: str, values: list[int | Scalar]) -> int | Scalar:
        short = name.removeprefix("np.")
        if len(values) != _ARITY.get(short, 1):
            raise self._unknown(tree)
        if name == "np.sqrt" and isinstance(values[0], Scalar):
            return Scalar("sqrt", (values[0],))
        # of a number NumPy would make a float64, which makes one of each array that it meets
        if not isinstance(values[0], int):
            raise self._unknown(tree)
        if name in BLOCK_FUNCTIONS or name in ("np.abs", "np.sqrt"):
            return self._node(Node(BLOCK_FUNCTIONS.get(name, short), (values[0],)))
        if name in ("np.maximum", "np.minimum", "clip") and all(isinstance(value, Scalar) for value in values[1:]):
            return self._node(Node(short, tuple(map(self._number, values))))
        raise self._unknown(tree)

    def _polynomial(self, x: int | Scalar, coefficients: tuple[float, ...]) -> int | Scalar:
        y: int | Scalar = number(coefficients[-1])
        for c in coefficients[-2::-1]:
            y = self._binary("+", self._binary("*", y, x), number(c))
        return y


def _graphs(kernel: Kernel, choices: dict[Scalar, bool] | None = None) -> Iterator[tuple[dict[Scalar, bool], Graph]]:
    """Yield a graph for each combination of choices between arrays that the definition has."""
    choices = choices or {}
    try:
        yield choices, Graph(kernel, choices)
    except KeyError as test:
        for branch in (True, False):
            yield from _graphs(kernel, {**choices, test.args[0]: branch})


class Language:
    """How one language says what a kernel is made of. What stands here is the same in Cython and in Numba's Python.

    Parameters
    ----------
    kernel : Kernel
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.like = next(o.name for o in kernel.operands if "n" in o.dims)

    #: What a kernel returns where nothing is wrong.
    ok: str
    #: Around the statements of a loop over elements, and how much deeper they stand.
    loop: str
    end: str | None
    deeper: int
    #: Before, at the head of and at the end of a loop over blocks.
    blocks: tuple[str | None, str, str | None]

    def head(self) -> list[str]:
        """Return the lines of the function's head."""
        raise NotImplementedError

    def operand(self, k: int, name: str, double: bool, written: bool) -> str:
        """Return what declares an operand: buffer number k."""
        raise NotImplementedError

    def declared(self, numbers: set[str], locals_: list[str], blocks: list[str], starts: bool) -> list[str]:
        """Return what declares n, "rows" and "length" where they are in `numbers`, local numbers, and blocks."""
        raise NotImplementedError

    def at(self, name: str) -> str:
        """Return where the part of an operand begins that belongs to a block."""
        raise NotImplementedError

    def call(self, op: str, source: str, target: str) -> str:
        """Return the call of a block function."""
        return f"unary(primitives, {self.primitive(op)}, {source}, {target}, stop - start)"

    def primitive(self, op: str) -> str:
        """Return the name of a primitive's number."""
        return op.upper()

    def rounded(self, scalar: Scalar) -> str:
        """Return a scalar, which is computed in double, as a number of the arrays' type."""
        raise NotImplementedError

    def scalar(self, scalar: Scalar) -> str:
        """Return an expression in double."""
        args = [self.scalar(arg) for arg in scalar.args]
        match scalar.op:
            case "number" | "item":
                return scalar.text
            case "attribute":
                return f"attributes[{scalar.text}]"
            case "length" | "rows":
                return scalar.op
            case "sqrt" | "below_one":
                return f"{scalar.op}({', '.join(args)})"
            case "choice":
                return f"({self.choice(f'{args[0]} != 0', *args[1:])})"
        return f"({args[0]} {scalar.op} {args[1]})" if len(args) == 2 else f"({scalar.op}{args[0]})"

    def choice(self, test: str, a: str, b: str) -> str:
        """Return `a` where a test holds, else `b`."""
        return f"{a} if {test} else {b}"

    def branch(self, choices: dict[Scalar, bool]) -> str:
        """Return the head of the statements for some choices."""
        tests = [f"{self.scalar(test)} {'!=' if taken else '=='} 0" for test, taken in choices.items()]
        return f"if {' and '.join(tests)}:"

    def operation(self, op: str, args: list[str]) -> str:
        """Return one operation of elements."""
        match op:
            case "maximum":  # NaN stays, and of equals the second: numpy.maximum
                return self.choice(f"{args[0]} <= {args[1]}", args[1], args[0])
            case "minimum":
                return self.choice(f"{args[0]} >= {args[1]}", args[1], args[0])
            case "where":
                return self.choice(*args)
            case "clip" | "abs" | "sqrt":
                return f"{op}({', '.join(args)})"
        return f"{args[0]} {op} {args[1]}" if len(args) == 2 else f"{op}{args[0]}"


class Cython(Language):
    """A C function of the ABI."""

    ok = "FASTBP_OK"
    loop, end, deeper = "each(&i, {}, {})", "end()", 0
    blocks = "start = 0", "while start < n:", "start += BLOCK"

    def head(self) -> list[str]:
        arguments = (
            "real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives"
        )
        return [f"cdef api int {self.kernel.name}(", f"    {arguments}", ") noexcept nogil:"]

    def operand(self, k: int, name: str, double: bool, written: bool) -> str:
        constant = "" if written else "const "
        cast = f"<{constant}double *>" if double else ""
        return f"cdef {constant}{'double' if double else 'real'} *{name} = {cast}buffers[{k}]"

    def declared(self, numbers: set[str], locals_: list[str], blocks: list[str], starts: bool) -> list[str]:
        lines = [f"cdef intptr_t {'i, start, stop' if starts else 'i'}, n = {_size(self.kernel)}"]
        lines += ["cdef double rows = <double>sizes[0]"] * ("rows" in numbers)
        lines += ["cdef double length = <double>n"] * ("length" in numbers)
        lines += [f"cdef real {', '.join(locals_)}"] * bool(locals_)
        return lines + [f"cdef real {name}[BLOCK]" for name in blocks]

    def at(self, name: str) -> str:
        return f"{name} + start"

    def primitive(self, op: str) -> str:
        return f"FASTBP_{op.upper()}"

    def rounded(self, scalar: Scalar) -> str:
        return f"<real>({self.scalar(scalar)})"

    def operation(self, op: str, args: list[str]) -> str:
        # C's own are those of double
        named = {"abs": "<real>fabs({})", "sqrt": "square_root({})"}
        return named[op].format(*args) if op in named else super().operation(op, args)


class Numba(Language):
    """A Python function that Numba compiles."""

    ok = "OK"
    loop, end, deeper = "for i in range({}, {}):", None, 1
    blocks = None, "for start in range(0, n, BLOCK):", None

    def head(self) -> list[str]:
        return [f"def {self.kernel.name}(buffers, sizes, attributes, primitives):"]

    def operand(self, k: int, name: str, double: bool, written: bool) -> str:
        return f"{name} = doubles(buffers[{k}])" if double else f"{name} = buffers[{k}]"

    def declared(self, numbers: set[str], locals_: list[str], blocks: list[str], starts: bool) -> list[str]:
        lines = [f"n = {_size(self.kernel)}"]
        lines += ["rows = float(sizes[0])"] * ("rows" in numbers)
        lines += ["length = float(n)"] * ("length" in numbers)
        return lines + [f"{name} = stack({self.like}, BLOCK)" for name in blocks]

    def at(self, name: str) -> str:
        return f"offset({name}, start)"

    def rounded(self, scalar: Scalar) -> str:
        return f"real({self.like}, {self.scalar(scalar)})"

    def scalar(self, scalar: Scalar) -> str:
        if scalar.op == "below_one":
            return f"below_one({self.like}, {self.scalar(scalar.args[0])})"
        return super().scalar(scalar)


def _size(kernel: Kernel) -> str:
    return " * ".join(f"sizes[{k}]" for k in range(len(kernel.dims)))


class _Writer:
    """Writes one kernel as source."""

    def __init__(self, kernel: Kernel, language: type[Language]) -> None:
        self.kernel, self.language = kernel, language(kernel)
        self.lines: list[str] = []
        self.locals: set[str] = set()
        self.blocks: set[str] = set()

    def add(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def source(self) -> str:
        kernel, language = self.kernel, self.language
        graphs = list(_graphs(kernel))
        for choices, graph in graphs:
            if choices:
                self.add(1, language.branch(choices))
            self.loops(graph, 2 if choices else 1)
        total = graphs[0][1].total
        if total:
            divisor = language.rounded(total.divisor)
            self.add(1, f"{total.result}[0] = total(primitives, {total.array}, n) / {divisor}")
        self.add(1, f"return {language.ok}")
        body, self.lines = self.lines, language.head()
        written = {o.name for o in kernel.outputs}
        for k, o in enumerate(kernel.operands):
            self.add(1, language.operand(k, o.name, o.dtype == "f8", o.name in written))
        numbers = {op for _, graph in graphs for op in graph.counts}
        starts = any(graph.calls for _, graph in graphs)
        for line in language.declared(numbers, sorted(self.locals), sorted(self.blocks), starts):
            self.add(1, line)
        return "\n".join(self.lines + body) + "\n"

    def loops(self, graph: Graph, depth: int) -> None:
        nodes, language = graph.nodes, self.language
        for k, node in enumerate(nodes):
            if node.scalar:
                self.add(depth, f"s{k} = {language.rounded(node.scalar)}")
                self.locals.add(f"s{k}")
        stores = list(graph.outputs.items())
        if not graph.calls:
            self.loop(graph, depth, "0", "n", [(f"{name}[i]", k) for name, k in stores])
            return
        before, head, after = language.blocks
        if before:
            self.add(depth, before)
        self.add(depth, head)
        self.add(depth + 1, "stop = min(start + BLOCK, n)")
        for call in graph.calls:
            (argument,) = nodes[call].args
            if nodes[argument].op == "input":
                source = language.at(nodes[argument].name)
            else:
                source = f"b{argument}"
                self.blocks.add(source)
                if nodes[argument].op not in BLOCK_FUNCTIONS.values():
                    self.loop(graph, depth + 1, "start", "stop", [(f"{source}[i - start]", argument)])
            if len(stores) == 1 and stores[0][1] == call:
                target = language.at(stores.pop()[0])  # the last operation: nothing is read after it
            else:
                target = f"b{call}"
                self.blocks.add(target)
            self.add(depth + 1, language.call(nodes[call].op, source, target))
        self.loop(graph, depth + 1, "start", "stop", [(f"{name}[i]", k) for name, k in stores])
        if after:
            self.add(depth + 1, after)

    def loop(self, graph: Graph, depth: int, start: str, stop: str, stores: list[tuple[str, int]]) -> None:
        """Write one loop that stores some nodes; what is not in a block is computed (again)."""
        if not stores:
            return
        self.add(depth, self.language.loop.format(start, stop))
        inside = depth + self.language.deeper
        done: dict[int, str] = {}
        names = [self.element(graph, k, inside, done) for _, k in stores]
        # all values before the first store: an output may share its buffer with an input
        for (place, _), name in zip(stores, names, strict=True):
            self.add(inside, f"{place} = {name}")
        if self.language.end:
            self.add(depth, self.language.end)

    def element(self, graph: Graph, k: int, depth: int, done: dict[int, str]) -> str:
        if k in done:
            return done[k]
        node = graph.nodes[k]
        if node.scalar:
            return f"s{k}"
        name = f"e{k}"
        if node.op == "input":
            text = f"{node.name}[i]"
        elif node.op in BLOCK_FUNCTIONS.values():
            text = f"b{k}[i - start]"
        else:
            text = self.language.operation(node.op, [self.element(graph, a, depth, done) for a in node.args])
        done[k] = name
        if node.op in _CONDITIONS:
            done[k] = f"({text})"  # a condition is written where it is used
            return done[k]
        self.add(depth, f"{name} = {text}")
        self.locals.add(name)
        return name


def cython_source(kernels: Iterable[Kernel]) -> str:
    """Return the Cython source of all pointwise kernels, to be included in one module for each dtype and level."""
    return "\n\n".join(_Writer(kernel, Cython).source() for kernel in kernels if is_pointwise(kernel))


_NUMBA_HEAD = '''"""Made by setup.py from kernels/table/; see kernels/pointwise.py."""

from math import sqrt

from .common import BLOCK, OK, below_one, clip, doubles, offset, real, stack, total, unary

'''


def numba_source(kernels: Iterable[Kernel]) -> str:
    """Return the source of a module with all pointwise kernels as functions that Numba compiles."""
    numbers = "".join(f"{name.upper()} = {NUMBERS[name]}\n" for name in BLOCK_FUNCTIONS.values())
    sources = [_Writer(kernel, Numba).source() for kernel in kernels if is_pointwise(kernel)]
    return "\n\n".join([_NUMBA_HEAD + numbers, *sources])
